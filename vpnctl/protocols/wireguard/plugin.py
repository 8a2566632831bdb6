"""WireGuard as the rest of the house sees it."""

from __future__ import annotations

import base64
import ipaddress
import os
from collections.abc import Mapping, Sequence
from typing import Any

from vpnctl.protocols import keypair
from vpnctl.protocols.conversation import Conversation
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
from vpnctl.protocols.wireguard import dump, entries, files, options
from vpnctl.protocols.wireguard.app import APPS
from vpnctl.protocols.wireguard.handshake import Identity
from vpnctl.protocols.wireguard.session import Initiator
from vpnctl.rules import grammar
from vpnctl.rules.desired import Archive, Interface, Repository, WantedEndpoint, WantedPeer
from vpnctl.rules.grammar import Network
from vpnctl.rules.observed import SeenPeer
from vpnctl.rules.secret import Secret


class WireGuard:
    """The plug-in; see `ProtocolPlugin`."""

    name = "wireguard"
    title = "WireGuard"
    supports = Supports(handshakes=True, client_secret=True)
    transport = "udp"
    driver = "node"
    script: tuple[str, ...] = ("vpnctl.protocols.wireguard",)
    fragment = "wg"
    name_prefix = "wg"
    default_port = 51820
    packages: tuple[tuple[str, str], ...] = (("wireguard-tools", "wg"), ("nftables", "nft"))
    archives: tuple[Archive, ...] = ()
    repositories: tuple[Repository, ...] = ()
    renews_clients = frozenset({"port", "dns", "mtu", "allowed_ips", "keepalive"})
    must_match = frozenset({"port"})
    fixed = frozenset({"pool_v4", "pool_v6"})
    client_options: frozenset[str] = frozenset({"dns", "mtu", "allowed_ips", "keepalive"})
    suffix = ".conf"
    apps = APPS
    tool = "wg"
    quick = "wg-quick"
    folder = "/etc/wireguard"

    def checked(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """See `options.checked`."""
        return options.checked(given)

    def fitting(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return them: each of WireGuard's options is right by itself."""
        return dict(given)

    def complete(
        self, given: Mapping[str, Any], others: Sequence[Mapping[str, Any]], avoid: Sequence[Network]
    ) -> dict[str, Any]:
        """See `options.complete`."""
        return options.complete(given, others, options.avoidable(avoid))

    def from_entry(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        """See `options.from_entry`."""
        return options.from_entry(entry)

    def to_entry(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """See `options.to_entry`."""
        return options.to_entry(given)

    def suited(self, server: Server) -> Suited:
        """See `options.suited`."""
        return options.suited(server)

    def readers(self, _given: Mapping[str, Any]) -> tuple[str, ...]:
        """Return its own app, on every platform."""
        return ("WireGuard",)

    def preference(self, _given: Mapping[str, Any]) -> int:
        """Return 0: all are alike."""
        return 0

    def renewed(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """See `options.renewed`."""
        return options.renewed(given)

    def newer(self, _given: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return None: there is one generation of WireGuard."""
        return None

    def pools(self, given: Mapping[str, Any]) -> Pools:
        """Return the pools; there always is one of IPv4."""
        v6 = given["pool_v6"]
        own = given.get("own_v4")
        return Pools(grammar.network(given["pool_v4"]), grammar.network(v6) if v6 else None, own)

    def server(self) -> Credentials:
        """Return a key pair."""
        return Credentials(*keypair.new())

    def issue(self, identity: str | None = None) -> Credentials:
        """Return a key pair, or the user's own public key, with 32 random bytes as preshared key."""
        psk = Secret(base64.b64encode(os.urandom(32)).decode())
        if identity is not None:
            return Credentials(grammar.key(identity, "public key"), None, psk)
        pair = self.server()
        return Credentials(pair.identity, pair.secret, psk)

    def wanted(
        self, endpoint: EndpointSpec, peers: Sequence[PeerSpec], aliens: Sequence[AlienSpec], cut: frozenset[str]
    ) -> WantedEndpoint:
        """Return the whole server side: config file, firewall file, live peers, unit."""
        others = [*([endpoint.probe] if endpoint.probe else []), *aliens]
        live = {peer.identity: WantedPeer(peer.identity, peer.shared, frozenset(files.own_ips(peer))) for peer in peers}
        live |= {each.identity: WantedPeer(each.identity, each.shared, _split(each.allowed_ips)) for each in others}
        return WantedEndpoint(
            endpoint_id=endpoint.id,
            protocol=self.name,
            name=endpoint.name,
            port=endpoint.port,
            transport=self.transport,
            identity=endpoint.identity,
            fragment=self.fragment,
            tool=self.tool,
            shared="preshared key",
            config=files.server_file(f"{self.folder}/{endpoint.name}.conf", endpoint, peers, aliens),
            unit=f"{self.quick}@{endpoint.name}.service",
            peers=live,
            cut=cut,
            forward_rule=endpoint.forward_rule,
            removed=endpoint.removed,
            interface=Interface(files.options(endpoint).mtu, files.own_addresses(endpoint), options.OVERHEAD),
            firewall=files.firewall_file(endpoint),
            drop_in=(rules := files.drop_in(endpoint)),
            absent=() if rules else (files.drop_in_path(endpoint.name),),
        )

    def client_config(self, endpoint: EndpointSpec, public_host: str, peer: PeerSpec, secret: Secret | None) -> Secret:
        """Return the client's .conf."""
        return files.client_text(endpoint, public_host, peer, secret)

    def client_forms(
        self, _endpoint: EndpointSpec, _public_host: str, _peer: PeerSpec, _secret: Secret | None
    ) -> Mapping[str, Secret]:
        """Return none: WireGuard's apps import files and codes."""
        return {}

    def entry(
        self, kind: ClientKind, endpoint: EndpointSpec, public_host: str, peer: PeerSpec, secret: Secret | None
    ) -> Entry | None:
        """See `entries.entry`."""
        return entries.entry(kind, endpoint, public_host, peer, secret)

    def observe(self, records: Sequence[str]) -> tuple[str, int, dict[str, SeenPeer]]:
        """See `dump.observe`."""
        return dump.observe(records)

    def named(self, text: str) -> Secret:
        """Return a preshared key."""
        return Secret(dump.key(text))

    def conversation(
        self, server_identity: str, own: Credentials, _given: Mapping[str, Any], _secret: Secret | None = None
    ) -> Conversation:
        """Return a handshake with that server."""
        return Initiator(keys(server_identity, own))


def keys(server_identity: str, own: Credentials) -> Identity:
    """Return the raw keys of a peer that talks to a server; zeros for those that it has not."""
    private, psk = (base64.b64decode(each.reveal()) if each else bytes(32) for each in (own.secret, own.shared))
    return Identity(private, base64.b64decode(server_identity), psk)


def _split(text: str) -> frozenset[str]:
    return frozenset(str(ipaddress.ip_network(part.strip(), strict=False)) for part in text.split(",") if part.strip())


PLUGIN = WireGuard()
