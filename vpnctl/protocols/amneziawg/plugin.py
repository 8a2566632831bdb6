"""AmneziaWG as the rest of the house sees it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from vpnctl.protocols.amneziawg import files, options
from vpnctl.protocols.amneziawg.app import APPS, READERS
from vpnctl.protocols.amneziawg.disguise import DisguisedInitiator
from vpnctl.protocols.amneziawg.parameters import GENERATIONS, NAMES, PROTECTED, header_key
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
from vpnctl.protocols.wireguard.options import OVERHEAD, avoidable
from vpnctl.protocols.wireguard.plugin import WireGuard, keys
from vpnctl.rules.desired import Repository, WantedEndpoint
from vpnctl.rules.grammar import Network
from vpnctl.rules.secret import Secret

REPOSITORY = Repository(
    "amneziawg",
    ("amneziawg-tools", "amneziawg-dkms"),
    "https://ppa.launchpadcontent.net/amnezia/ppa/ubuntu",
    (("bookworm", "jammy"), ("trixie", "noble")),
    "https://keyserver.ubuntu.com/pks/lookup?op=get&options=mr&search=0x75C9DD72C799870E310542E24166F2C257290828",
    "75C9DD72C799870E310542E24166F2C257290828",
    "LP-PPA-amnezia",
)
"""Its makers' repository; the key as Launchpad names it. For each Debian the newest suite whose C library is not newer
than its own: `focal`, which their documentation names for Debian 12, has tools of 3.0 alone."""


class AmneziaWG(WireGuard):
    """The plug-in; see `ProtocolPlugin`. Keys, sessions, peers, addresses and firewall rules are WireGuard's."""

    name = "amneziawg"
    supports = Supports(handshakes=True, client_secret=True, server_secret=True)
    title = "AmneziaWG"
    script = ("vpnctl.protocols.wireguard", "vpnctl.protocols.amneziawg")
    fragment = "awg"
    name_prefix = "awg"
    default_port = 51821
    packages: tuple[tuple[str, str], ...] = (
        ("amneziawg-tools", "awg"),
        ("amneziawg-dkms", "awg_links"),
        ("nftables", "nft"),
    )
    repositories = (REPOSITORY,)
    renews_clients = WireGuard.renews_clients | frozenset(NAMES)
    must_match = WireGuard.must_match | options.MUST_MATCH
    fixed = WireGuard.fixed | {options.GENERATION}
    client_options = WireGuard.client_options | options.OF_CLIENTS
    apps = APPS
    tool = "awg"
    quick = "awg-quick"
    folder = "/etc/amnezia/amneziawg"

    def checked(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """See `options.canonical`."""
        return options.canonical(given)

    def fitting(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """See `options.fitting`."""
        return options.fitting(given)

    def complete(
        self, given: Mapping[str, Any], others: Sequence[Mapping[str, Any]], avoid: Sequence[Network]
    ) -> dict[str, Any]:
        """See `options.complete`."""
        return options.complete(given, others, avoidable(avoid))

    def from_entry(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        """See `options.from_entry`."""
        return options.from_entry(entry)

    def to_entry(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """See `options.to_entry`."""
        return options.to_entry(given)

    def suited(self, server: Server) -> Suited:
        """See `options.suited`."""
        return options.suited(server)

    def readers(self, given: Mapping[str, Any]) -> tuple[str, ...]:
        """See `app.READERS`."""
        return READERS[given[options.GENERATION]]

    def preference(self, given: Mapping[str, Any]) -> int:
        """Return more for a newer generation."""
        return -GENERATIONS.index(given[options.GENERATION])

    def renewed(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """See `options.renewed`."""
        return options.renewed(given)

    def newer(self, given: Mapping[str, Any]) -> dict[str, Any] | None:
        """See `options.newer`."""
        return options.newer(given)

    def pools(self, given: Mapping[str, Any]) -> Pools:
        """Return the pools; there always is one of IPv4."""
        return super().pools(options.split(given)[0])

    def wanted(
        self, endpoint: EndpointSpec, peers: Sequence[PeerSpec], aliens: Sequence[AlienSpec], cut: frozenset[str]
    ) -> WantedEndpoint:
        """Return the whole server side: WireGuard's, with the parameters in the file."""
        found = super().wanted(files.bare(endpoint), peers, aliens, cut)
        parameters = options.parameters(endpoint.options)
        lines = parameters.both_sides(endpoint.options[options.GENERATION], files.key_of(endpoint))
        own = replace(found.interface, overhead=OVERHEAD + parameters.s4) if found.interface else None
        return replace(found, config=files.with_lines(found.config, lines), interface=own, tested=True)

    def client_config(self, endpoint: EndpointSpec, public_host: str, peer: PeerSpec, secret: Secret | None) -> Secret:
        """Return the client's .conf."""
        return files.client_text(endpoint, public_host, peer, secret)

    def client_forms(
        self, endpoint: EndpointSpec, public_host: str, peer: PeerSpec, secret: Secret | None
    ) -> Mapping[str, Secret]:
        """Return the `vpn://` text of AmneziaVPN; none where the private key is the user's own."""
        return {"vpn": files.vpn_text(endpoint, public_host, peer, secret)} if secret else {}

    def entry(
        self, kind: ClientKind, endpoint: EndpointSpec, public_host: str, peer: PeerSpec, secret: Secret | None
    ) -> Entry | None:
        """Return the `vpn://` text, or mihomo's entry: WireGuard's with the parameters. Others do not speak it."""
        if kind is ClientKind.AMNEZIA:
            return files.vpn_text(endpoint, public_host, peer, secret).reveal() if secret else None
        plain = (
            super().entry(kind, files.bare(endpoint), public_host, peer, secret) if kind is ClientKind.MIHOMO else None
        )
        if not isinstance(plain, dict):
            return None
        if endpoint.options[options.GENERATION] in PROTECTED:
            return None  # what mihomo calls the parameters of these is not documented yet
        lines = options.parameters(endpoint.options).of_client(endpoint.options[options.GENERATION])
        values = {name.lower(): int(value) if value.isdigit() else value for name, value in lines.items()}
        return {**plain, "amnezia-wg-option": values}

    def conversation(
        self, server_identity: str, own: Credentials, given: Mapping[str, Any], secret: Secret | None = None
    ) -> Conversation:
        """Return a handshake with that server."""
        protected = secret is not None and given[options.GENERATION] in PROTECTED
        key = header_key(secret) if secret is not None and protected else None
        return DisguisedInitiator(keys(server_identity, own), options.parameters(given), key)


PLUGIN = AmneziaWG()
