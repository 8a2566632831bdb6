"""Which clients of a panel can become people's devices as they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vpnctl.protocols.panel.inbounds import FLOW, LIMIT, TWICE
from vpnctl.protocols.panel.looks import BYTES
from vpnctl.rules.observed import SeenPeer
from vpnctl.rules.secret import Secret


class PanelAdopter:
    """See `protocols.foreign.ClientAdopter`."""

    def unfit(self, options: Mapping[str, Any], peer: SeenPeer) -> str:
        """Return why a client cannot be a device as it is; empty where it can."""
        if peer.odd == FLOW:
            return f"its flow is another one than {options['flow'] or 'none'}, so that its link would end"
        if peer.odd == TWICE:
            return "two clients have that name"
        if options["method"] in BYTES:
            return "its password is made otherwise than ours (Shadowsocks 2022)"
        return "" if isinstance(peer.shared, Secret) else "the panel does not say its secret"

    def lifts(self, peer: SeenPeer) -> bool:
        """Return whether the server limits a client by itself, which ends when it is ours."""
        return peer.odd == LIMIT


ADOPTER = PanelAdopter()
