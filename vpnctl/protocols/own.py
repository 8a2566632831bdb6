"""Options that a device has otherwise than its endpoint. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from vpnctl.errors import InvalidInput
from vpnctl.protocols.interface import BadOption, ProtocolPlugin


def own(kind: ProtocolPlugin, endpoint: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a device's own options, checked. BadOption where one is not a client's business, or fits no others.

    `endpoint` are the options of its endpoint, which hold for all that is not given.
    """
    for name in given:
        if name not in kind.client_options:
            may = ", ".join(sorted(kind.client_options))
            raise BadOption(name, f"a device has its own {may} only" if may else f"a device of {kind.title} has none")
    found = kind.checked({name: _typed(endpoint.get(name), value) for name, value in given.items()})
    whole = kind.fitting({**endpoint, **found})
    return {name: whole[name] for name in found}


def _typed(like: Any, value: Any) -> Any:
    """Numbers are typed as texts on a command line."""
    return int(value) if type(like) is int and isinstance(value, str) and re.fullmatch("[0-9]{1,9}", value) else value


def carried(kind: ProtocolPlugin, endpoint: Mapping[str, Any], had: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return what of a device's own options it keeps on another endpoint: all, or none where they do not fit there."""
    try:
        return own(kind, endpoint, had) if had else None
    except InvalidInput:
        return None
