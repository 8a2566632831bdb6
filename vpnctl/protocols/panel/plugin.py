"""3x-ui as the rest of the house sees it: an inbound of a panel is an endpoint whose settings are the panel's own."""

from __future__ import annotations

import hashlib
import json
import secrets
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from vpnctl.errors import InvalidInput
from vpnctl.protocols.interface import (
    AlienSpec,
    BadOption,
    ClientKind,
    Credentials,
    EndpointSpec,
    Entry,
    MissingOption,
    PeerSpec,
    Pools,
    Server,
    Suited,
    Supports,
)
from vpnctl.protocols.panel import inbounds
from vpnctl.protocols.xray import entries, links, outside, records
from vpnctl.protocols.xray.app import APPS, readers
from vpnctl.protocols.xray.outside import Outside, XrayClient
from vpnctl.rules.desired import Archive, File, WantedEndpoint, WantedPeer
from vpnctl.rules.grammar import Network
from vpnctl.rules.observed import SeenPeer
from vpnctl.rules.secret import Secret

_TEXTS = (
    "scheme", "network", "guard", "server_name", "fingerprint", "public_key", "short_id", "path", "host", "flow",
    "method", "dial_host",
)  # fmt: skip
_NUMBERS = ("inbound", "dial_port")


class Panel:
    """The plug-in; see `ProtocolPlugin`."""

    name = "3x-ui"
    title = "3x-ui"
    supports = Supports(handshakes=False, client_secret=False, server_secret=True)
    transport = "tcp"
    driver = "panel"
    script: tuple[str, ...] = ()
    fragment = ""
    name_prefix = "in"
    default_port = 443
    packages: tuple[tuple[str, str], ...] = ()
    archives: tuple[Archive, ...] = ()
    renews_clients = frozenset({"port", *_TEXTS, "dial_port"})
    must_match = frozenset({"port", *_TEXTS, "dial_port"})
    fixed = frozenset({"inbound"})
    suffix = ".txt"
    apps = APPS

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

    def suited(self, _server: Server) -> Suited:
        """Return none: nothing of it depends on the server."""
        return Suited({})

    def readers(self, given: Mapping[str, Any]) -> tuple[str, ...]:
        """See `app.readers`."""
        return readers(given["network"] == outside.XHTTP)

    def preference(self, given: Mapping[str, Any]) -> int:
        """Return more for what hides better: REALITY before TLS before neither."""
        return {"reality": 2, "tls": 1}.get(given["guard"], 0)

    def newer(self, _given: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return None: there are no generations of an inbound."""
        return None

    def pools(self, _given: Mapping[str, Any]) -> Pools:
        """Return none: people have no addresses in it."""
        return Pools()

    def server(self) -> Credentials:
        """Return a name for it; its keys are the panel's."""
        return Credentials(f"inbound-{secrets.token_hex(10)}")

    def issue(self, identity: str | None = None) -> Credentials:
        """Return the name of a client and a UUID; what the inbound needs is made of it."""
        if identity is not None:
            raise InvalidInput(f"{self.title} has no keys of the user's own", "leave --public-key out")
        return Credentials(f"p-{secrets.token_hex(10)}", None, Secret(str(uuid.uuid4())))

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

    def client_config(self, endpoint: EndpointSpec, public_host: str, peer: PeerSpec, _secret: Secret | None) -> Secret:
        """Return the link, as a line."""
        return Secret(links.link(_client(endpoint, public_host, peer)).reveal() + "\n")

    def client_forms(
        self, endpoint: EndpointSpec, public_host: str, peer: PeerSpec, _secret: Secret | None
    ) -> Mapping[str, Secret]:
        """Return the link, the older form of VMess links, and a config for the core."""
        return links.forms(_client(endpoint, public_host, peer))

    def entry(
        self, kind: ClientKind, endpoint: EndpointSpec, public_host: str, peer: PeerSpec, _secret: Secret | None
    ) -> Entry | None:
        """See `entries.entry`."""
        return entries.entry(kind, _client(endpoint, public_host, peer))

    def observe(self, _said: Sequence[str]) -> tuple[str, int, dict[str, SeenPeer]]:
        """Raise ValueError: no node script speaks of it."""
        raise ValueError("a panel is not read by the node script")

    def named(self, text: str) -> Secret:
        """Return somebody's credentials that a panel named."""
        return records.credentials(text)

    def conversation(
        self, _server_identity: str, _own: Credentials, _given: Mapping[str, Any], _secret: Secret | None = None
    ) -> None:
        """Return None: that a connection opens is all that is tried from here."""
        return


def head(port: int, options: Mapping[str, Any], password: Secret | None) -> File:
    """Return what an inbound is but for its people, in the form in which it is compared."""
    held = password.reveal() if password else ""
    text = json.dumps({"port": port, **options, "password": held}, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()
    return File(f"inbound {options['inbound']} of the panel", "", Secret(text), digest)


def _client(endpoint: EndpointSpec, public_host: str, peer: PeerSpec) -> XrayClient:
    if peer.shared is None:
        raise ValueError("a client needs its credentials")
    set_to = endpoint.options
    look = Outside(**{name: set_to[name] for name in _TEXTS if name != "dial_host"}, password=endpoint.secret)
    host, port = set_to["dial_host"] or public_host, set_to["dial_port"] or endpoint.port
    return XrayClient(host, port, inbounds.secret_of(set_to, peer.shared).reveal(), peer.title, look)


PLUGIN = Panel()
