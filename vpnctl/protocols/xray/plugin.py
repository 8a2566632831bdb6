"""Xray as the rest of the house sees it."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from vpnctl.errors import InvalidInput
from vpnctl.protocols import keypair
from vpnctl.protocols.interface import (
    AlienSpec,
    ClientKind,
    Credentials,
    EndpointSpec,
    Entry,
    PeerSpec,
    Pools,
    Server,
    Suited,
    Supports,
)
from vpnctl.protocols.xray import clients, entries, links, options, records, server
from vpnctl.protocols.xray.app import APPS, readers
from vpnctl.protocols.xray.outside import XrayClient
from vpnctl.rules.desired import Archive, Repository, WantedEndpoint, WantedPeer
from vpnctl.rules.grammar import Network
from vpnctl.rules.observed import SeenPeer
from vpnctl.rules.secret import Secret

_RELEASE = "https://github.com/XTLS/Xray-core/releases/download/v26.3.27"
ARCHIVE = Archive(
    "xray",
    (
        ("x86_64", f"{_RELEASE}/Xray-linux-64.zip", "23cd9af937744d97776ee35ecad4972cf4b2109d1e0fe6be9930467608f7c8ae"),
        (
            "aarch64",
            f"{_RELEASE}/Xray-linux-arm64-v8a.zip",
            "4d30283ae614e3057f730f67cd088a42be6fdf91f8639d82cb69e48cde80413c",
        ),
    ),
)
"""The official release. Digests as several packagers of it pin them; the setting `xray_archive` names another one."""


class Xray:
    """The plug-in; see `ProtocolPlugin`."""

    name = "xray"
    title = "Xray"
    supports = Supports(handshakes=False, client_secret=False, server_secret=True, link=True)
    transport = "tcp"
    driver = "node"
    script: tuple[str, ...] = ("vpnctl.protocols.xray",)
    fragment = "xray"
    name_prefix = "xr"
    default_port = 443
    packages: tuple[tuple[str, str], ...] = (("ca-certificates", "update-ca-certificates"), ("curl", "curl"))
    archives: tuple[Archive, ...] = (ARCHIVE,)
    repositories: tuple[Repository, ...] = ()
    renews_clients = frozenset({"port", "server_name", "short_id", "path", "fingerprint"})
    must_match = frozenset({"port", "server_name", "short_id", "path"})
    fixed = frozenset({"inbound"})
    client_options: frozenset[str] = frozenset({"fingerprint"})
    suffix = ".txt"
    apps = APPS
    core = server.Core("xray", "/usr/local/bin/xray run -format json", tells_online=True)
    inbounds: tuple[str, ...] = options.INBOUNDS
    """Kinds of endpoints that the core has; people get the first one who name none."""

    def checked(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """See `options.checked`."""
        return options.checked(given, self.inbounds)

    def fitting(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """See `options.fitting`."""
        return options.fitting(given)

    def complete(
        self, given: Mapping[str, Any], _others: Sequence[Mapping[str, Any]], _avoid: Sequence[Network]
    ) -> dict[str, Any]:
        """See `options.complete`."""
        return options.complete(given, self.inbounds[0])

    def from_entry(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        """Return all options of an endpoint from its entry in an inventory."""
        return self.complete(self.checked({name: value for name, value in entry.items() if value is not None}), (), ())

    def to_entry(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """See `options.entry`."""
        return options.entry(given)

    def suited(self, _server: Server) -> Suited:
        """Return none: nothing of it depends on the server."""
        return Suited({})

    def readers(self, given: Mapping[str, Any]) -> tuple[str, ...]:
        """See `app.readers`."""
        return readers(given["inbound"] == options.XHTTP)

    def preference(self, given: Mapping[str, Any]) -> int:
        """Return more for the kinds that come first."""
        return -self.inbounds.index(given["inbound"])

    def renewed(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return all but path and short id."""
        return {name: value for name, value in given.items() if name not in ("path", "short_id")}

    def newer(self, _given: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return None: its kinds are no generations."""
        return None

    def pools(self, _given: Mapping[str, Any]) -> Pools:
        """Return none: people have no addresses in it."""
        return Pools()

    def server(self) -> Credentials:
        """Return a key pair of X25519, which is what REALITY has."""
        return Credentials(*keypair.new())

    def issue(self, identity: str | None = None) -> Credentials:
        """Return a tag and a UUID; all kinds of endpoints make what they need of it."""
        if identity is not None:
            raise InvalidInput(f"{self.title} has no keys of the user's own", "leave --public-key out")
        return Credentials(f"p-{secrets.token_hex(10)}", None, Secret(str(uuid.uuid4())))

    def wanted(
        self, endpoint: EndpointSpec, peers: Sequence[PeerSpec], aliens: Sequence[AlienSpec], cut: frozenset[str]
    ) -> WantedEndpoint:
        """Return the whole server side: config, units, who may connect."""
        inbound = endpoint.options["inbound"]
        people = {each.identity: each.shared for each in aliens if each.shared}
        people |= {each.identity: server.secret_of(inbound, each.shared) for each in peers if each.shared}
        return WantedEndpoint(
            endpoint_id=endpoint.id,
            protocol=self.name,
            name=endpoint.name,
            port=endpoint.port,
            transport=self.transport,
            identity=endpoint.identity,
            fragment=self.fragment,
            tool=self.core.name,
            shared="credentials",
            config=server.config_file(endpoint, people, self.core),
            unit=server.unit(self.core, endpoint.name),
            peers={tag: WantedPeer(tag, secret) for tag, secret in people.items()},
            cut=cut,
            forward_rule=endpoint.forward_rule,
            removed=endpoint.removed,
            files=server.unit_files(self.core, endpoint),
            tries_alone=self.core.name == "xray" and bool(endpoint.options["target"]),
            tested=True,
        )

    def client(self, endpoint: EndpointSpec, public_host: str, peer: PeerSpec) -> XrayClient:
        """Return a device as its apps need it."""
        return clients.client(endpoint, public_host, peer)

    def client_config(self, endpoint: EndpointSpec, public_host: str, peer: PeerSpec, _secret: Secret | None) -> Secret:
        """Return the link, as a line."""
        return Secret(links.link(self.client(endpoint, public_host, peer)).reveal() + "\n")

    def client_forms(
        self, endpoint: EndpointSpec, public_host: str, peer: PeerSpec, _secret: Secret | None
    ) -> Mapping[str, Secret]:
        """Return the link, the older form of VMess links, and a config for the core."""
        return links.forms(self.client(endpoint, public_host, peer))

    def entry(
        self, kind: ClientKind, endpoint: EndpointSpec, public_host: str, peer: PeerSpec, _secret: Secret | None
    ) -> Entry | None:
        """See `entries.entry`."""
        return entries.entry(kind, self.client(endpoint, public_host, peer))

    def observe(self, said: Sequence[str]) -> tuple[str, int, dict[str, SeenPeer]]:
        """See `records.observe`."""
        return records.observe(said)

    def named(self, text: str) -> Secret:
        """Return somebody's credentials that a node named."""
        return records.credentials(text)

    def conversation(
        self, _server_identity: str, _own: Credentials, _given: Mapping[str, Any], _secret: Secret | None = None
    ) -> None:
        """Return None: that a connection opens is all that is tried from here."""
        return


PLUGIN = Xray()
