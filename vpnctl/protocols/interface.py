"""What a protocol plug-in takes and gives. Plug-ins are pure: text and values, no network, no files.

What only one protocol knows (its options, its files, what its tools print) stays inside its package; the rest of the
house sees the values below and `rules.desired`, `rules.observed`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from vpnctl.errors import InvalidInput
from vpnctl.protocols.conversation import Conversation
from vpnctl.rules.desired import Archive, Repository, WantedEndpoint
from vpnctl.rules.grammar import Network
from vpnctl.rules.observed import SeenPeer
from vpnctl.rules.path import Ways
from vpnctl.rules.secret import Secret


class BadOption(InvalidInput):
    """An option that there is not, or that has no such value; `option` is its name, `what` what is wrong with it."""

    def __init__(self, option: str, why: str) -> None:
        super().__init__(f"{option}: {why}")
        self.option, self.why = option, why


class MissingOption(BadOption):
    """An option that a new endpoint needs in an inventory's entry; one that is there has it already."""

    def __init__(self, option: str) -> None:
        super().__init__(option, "field required")


@dataclass(frozen=True)
class Supports:
    """What a protocol's nodes can show."""

    handshakes: bool
    """When they last heard of a peer; else one whose counters grow was heard of."""
    client_secret: bool
    """Secrets that only the client needs. It may keep one to itself, and name only the identity to us."""
    server_secret: bool = False
    """Whether part of the server's secret stands in what clients import."""
    link: bool = False
    """What clients import is a link, which people paste."""


@dataclass(frozen=True)
class Credentials:
    """Who somebody is on an endpoint, new."""

    identity: str
    """What the node shows; no secret, never used again. At most 44 characters."""
    secret: Secret | None = None
    """What only its owner needs, such as a private key."""
    shared: Secret | None = None
    """What the other side must know too, such as a preshared key or a password."""


@dataclass(frozen=True)
class AlienSpec:
    """A peer that is nobody's device: one found on the node, kept as it was, or our own probe."""

    identity: str
    shared: Secret | None
    allowed_ips: str
    """Networks, `, ` between them; empty where it has none."""


@dataclass(frozen=True)
class PeerSpec:
    """One peer as the renderers need it."""

    id: str
    identity: str
    shared: Secret | None
    ipv4: str | None = None
    ipv6: str | None = None
    title: str = ""
    """What an app shows of it, where its config has a place for that."""


@dataclass(frozen=True)
class EndpointSpec:
    """One endpoint as the renderers need it."""

    id: str
    name: str
    port: int
    options: Mapping[str, Any]
    forward_rule: str
    """`none`, `docker`, `ufw` or `iptables`: which firewall of the host must be told to let our packets pass."""
    identity: str
    secret: Secret | None = None
    """None where nobody may see it, such as when a client's file is rendered."""
    removed: bool = False
    probe: AlienSpec | None = None
    """Our own peer for handshakes; it has no allowed IPs."""
    ipv6: bool = True
    """Whether the node's kernel does IPv6 at all."""


@dataclass(frozen=True)
class Pools:
    """The networks that an endpoint gives its peers addresses from; None: it gives none of that family."""

    v4: Network | None = None
    v6: Network | None = None
    own_v4: str | None = None
    """The server's own address where that is not the first one of `v4`."""

    def __bool__(self) -> bool:
        """Whether it gives any: then its peers live behind an interface of the node's."""
        return self.v4 is not None or self.v6 is not None


@dataclass(frozen=True)
class Server:
    """What a server is like on which an endpoint is to be set up."""

    ways: Ways
    ipv6: bool


@dataclass(frozen=True)
class Suited:
    """Options that suit a server, and what to tell the operator."""

    options: dict[str, Any]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ClientApp:
    """An app that reads a client's config on one platform. Steps may have {file} and {name} in them."""

    name: str
    url: str
    steps: tuple[str, ...]


class ClientKind(StrEnum):
    """Whose apps a subscription is written for: what one entry of it is."""

    LINKS = "base64"
    """A link; v2rayNG, Happ and others."""
    SING_BOX = "sing-box"
    """An outbound, or an endpoint of WireGuard."""
    MIHOMO = "mihomo"
    """A proxy; mihomo, Clash and others."""
    XRAY = "xray"
    """An outbound of Xray's."""
    AMNEZIA = "amnezia"
    """A text that AmneziaVPN imports."""


Entry = str | dict[str, Any]


class ProtocolPlugin(Protocol):
    """The interface of a protocol."""

    name: str
    title: str
    """What people call it."""
    supports: Supports
    transport: str
    """`udp` or `tcp`."""
    driver: str
    """How its nodes are read and changed; see `remote.driver`."""
    script: tuple[str, ...]
    """The packages that hold its part of the node script, each built on those before it: `node.sh`, and `path.sh` where
    it can try packets."""
    fragment: str
    """What the functions of that part begin with; see remote/node.sh."""
    name_prefix: str
    """Of endpoints' names, such as `wg`."""
    default_port: int
    packages: tuple[tuple[str, str], ...]
    """(Debian package, program that it brings)."""
    archives: tuple[Archive, ...]
    """Programs that no package of Debian brings."""
    repositories: tuple[Repository, ...]
    """Where packages come from that Debian lacks."""
    renews_clients: frozenset[str]
    """Options that stand in what clients import: changing one means that people need it anew. `port` may be one."""
    must_match: frozenset[str]
    """Options that both sides must have alike: changing one cuts off whoever has an older file. `port` may be one."""
    fixed: frozenset[str]
    """Options that never change."""
    client_options: frozenset[str]
    """Options that only clients read, so that a device may have its own."""
    suffix: str
    """What ends the name of a client's file, such as `.conf`."""
    apps: Mapping[str, ClientApp]
    """Platform -> app."""

    def checked(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return these options in their canonical form. Raises InvalidInput; BadOption for one that there is not."""

    def fitting(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return all options of an endpoint after a change. Raises BadOption where one does not fit the others."""

    def complete(
        self, options: Mapping[str, Any], others: Sequence[Mapping[str, Any]], avoid: Sequence[Network]
    ) -> dict[str, Any]:
        """Return all options of a new endpoint, beside the node's `others` of any protocol and networks to `avoid`.

        `options` are checked ones. Raises Conflict when they clash with others.
        """

    def from_entry(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        """Return all options of an endpoint from its entry in an inventory. Raises BadOption; MissingOption at last."""

    def to_entry(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return what an inventory's entry says of these options."""

    def suited(self, server: Server) -> Suited:
        """Return the options that suit a server."""

    def readers(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the apps that read what clients import, the best one first; with the oldest version that does."""

    def preference(self, options: Mapping[str, Any]) -> int:
        """Return how much new devices are wanted on such an endpoint, where a node has several of this protocol."""

    def renewed(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options, checked, of a successor of the same generation: all but what each endpoint draws."""

    def newer(self, options: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the options, checked and without pools, of a successor of a newer generation; None for the newest."""

    def pools(self, options: Mapping[str, Any]) -> Pools:
        """Return where its peers' addresses come from."""

    def server(self) -> Credentials:
        """Return a new endpoint's own credentials."""

    def issue(self, identity: str | None = None) -> Credentials:
        """Return a new peer's credentials; with an `identity` of the user's own, without secret."""

    def wanted(
        self, endpoint: EndpointSpec, peers: Sequence[PeerSpec], aliens: Sequence[AlienSpec], cut: frozenset[str]
    ) -> WantedEndpoint:
        """Return what the node must have for this endpoint. Deterministic."""

    def client_config(self, endpoint: EndpointSpec, public_host: str, peer: PeerSpec, secret: Secret | None) -> Secret:
        """Return what a client imports: the text of a file, or a link."""

    def client_forms(
        self, endpoint: EndpointSpec, public_host: str, peer: PeerSpec, secret: Secret | None
    ) -> Mapping[str, Secret]:
        """Return by name what apps import otherwise, such as links; one that is pasted or opened comes first."""

    def entry(
        self, kind: ClientKind, endpoint: EndpointSpec, public_host: str, peer: PeerSpec, secret: Secret | None
    ) -> Entry | None:
        """Return a device as one entry of a subscription; None where the app cannot carry it."""

    def observe(self, records: Sequence[str]) -> tuple[str, int, dict[str, SeenPeer]]:
        """Return (identity, port, peers) from what the node's part of the script said. Raises ValueError."""

    def named(self, text: str) -> Secret:
        """Return a shared secret that a node named. Raises ValueError for what cannot be one."""

    def conversation(
        self, server_identity: str, own: Credentials, options: Mapping[str, Any], secret: Secret | None = None
    ) -> Conversation | None:
        """Return how to talk to an endpoint that has these options and this secret of its own, as that peer.

        None where a connection that opens is all that is tried.
        """
