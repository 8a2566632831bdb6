"""3x-ui as the rest of the house sees it: an inbound of a panel is an endpoint whose settings are the panel's own."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from vpnctl.errors import InvalidInput
from vpnctl.protocols.interface import (
    AlienSpec,
    BadOption,
    Credentials,
    EndpointSpec,
    MissingOption,
    PeerSpec,
)
from vpnctl.protocols.panel import inbounds
from vpnctl.protocols.panel.looks import NAMES
from vpnctl.protocols.xray import outside
from vpnctl.protocols.xray.app import readers
from vpnctl.protocols.xray.outside import Outside, XrayClient
from vpnctl.protocols.xray.plugin import Xray
from vpnctl.rules.desired import Archive, File, WantedEndpoint, WantedPeer
from vpnctl.rules.grammar import Network
from vpnctl.rules.observed import SeenPeer
from vpnctl.rules.secret import Secret

_TEXTS = (*NAMES, "dial_host")
_NUMBERS = ("inbound", "dial_port")


class Panel(Xray):
    """The plug-in; see `ProtocolPlugin`. People, links and apps are Xray's; all else is the panel's own."""

    name = "3x-ui"
    title = "3x-ui"
    driver = "panel"
    script: tuple[str, ...] = ()
    fragment = ""
    name_prefix = "in"
    packages: tuple[tuple[str, str], ...] = ()
    archives: tuple[Archive, ...] = ()
    client_options: frozenset[str] = frozenset()
    renews_clients = frozenset({"port", *_TEXTS, "dial_port"})
    must_match = frozenset({"port", *_TEXTS, "dial_port"})
    fixed = frozenset({"inbound"})

    def checked(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return options as they are: they are read from the panel, and nobody else sets them."""
        for name, value in given.items():
            if name not in (*_TEXTS, *_NUMBERS):
                raise BadOption(name, "unknown key")
            if not isinstance(value, int if name in _NUMBERS else str):
                raise BadOption(name, "is set in the panel; to read it again: vpnctl node provision NAME")
        return dict(given)

    def fitting(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return all options; MissingOption where the panel was not asked."""
        for name in (*_NUMBERS, *_TEXTS):
            if name not in given:
                raise MissingOption(name)
        return {name: given[name] for name in (*_NUMBERS, *_TEXTS)}

    def complete(
        self, given: Mapping[str, Any], _others: Sequence[Mapping[str, Any]], _avoid: Sequence[Network]
    ) -> dict[str, Any]:
        """Return the options that were read from the panel. Raises InvalidInput where none were."""
        if "inbound" not in given:
            raise InvalidInput(
                "an inbound is made in the panel, and taken from there", "vpnctl node provision NAME --protocol 3x-ui"
            )
        return self.fitting(given)

    def from_entry(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        """Return all options of an endpoint from its entry in an inventory."""
        given = self.checked({name: value for name, value in entry.items() if value is not None})
        for name in ("inbound", "scheme"):
            if name not in given:
                raise MissingOption(name)
        return self.fitting({**dict.fromkeys(_TEXTS, ""), "dial_port": 0, **given})

    def to_entry(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return those that say something."""
        return {name: value for name, value in given.items() if value}

    def readers(self, given: Mapping[str, Any]) -> tuple[str, ...]:
        """See `app.readers`."""
        return readers(given["network"] == outside.XHTTP)

    def renewed(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Raise InvalidInput: inbounds are made in the panel."""
        raise InvalidInput(
            f"inbound {given['inbound']} is what its panel makes of it",
            "add another inbound there, then: vpnctl node provision NAME",
        )

    def preference(self, given: Mapping[str, Any]) -> int:
        """Return more for what hides better: REALITY before TLS before neither."""
        return {"reality": 2, "tls": 1}.get(given["guard"], 0)

    def server(self) -> Credentials:
        """Return a name for it; its keys are the panel's."""
        return Credentials(f"inbound-{secrets.token_hex(10)}")

    def wanted(
        self, endpoint: EndpointSpec, peers: Sequence[PeerSpec], _aliens: Sequence[AlienSpec], cut: frozenset[str]
    ) -> WantedEndpoint:
        """Return who must be in the inbound. Whom somebody else put there is left alone, and stands nowhere here."""
        found = {
            each.identity: WantedPeer(each.identity, inbounds.secret_of(endpoint.options, each.shared))
            for each in peers
            if each.shared
        }
        return WantedEndpoint(
            endpoint_id=endpoint.id,
            protocol=self.name,
            name=endpoint.name,
            port=endpoint.port,
            transport=self.transport,
            identity=endpoint.identity,
            fragment=self.fragment,
            tool="",
            shared="credentials",
            config=head(endpoint.port, endpoint.options, endpoint.secret),
            unit="",
            peers=found,
            cut=cut,
            removed=endpoint.removed,
            inbound=endpoint.options["inbound"],
        )

    def client(self, endpoint: EndpointSpec, public_host: str, peer: PeerSpec) -> XrayClient:
        """Return a device as its apps need it."""
        if peer.shared is None:
            raise ValueError("a client needs its credentials")
        set_to = endpoint.options
        look = Outside(**{name: set_to[name] for name in NAMES}, password=endpoint.secret)
        host, port = set_to["dial_host"] or public_host, set_to["dial_port"] or endpoint.port
        return XrayClient(host, port, inbounds.secret_of(set_to, peer.shared).reveal(), peer.title, look)

    def observe(self, _said: Sequence[str]) -> tuple[str, int, dict[str, SeenPeer]]:
        """Raise ValueError: no node script speaks of it."""
        raise ValueError("a panel is not read by the node script")


def head(port: int, options: Mapping[str, Any], password: Secret | None) -> File:
    """Return what an inbound is but for its people, in the form in which it is compared."""
    held = password.reveal() if password else ""
    text = json.dumps({"port": port, **options, "password": held}, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()
    return File(f"inbound {options['inbound']} of the panel", "", Secret(text), digest)


PLUGIN = Panel()
