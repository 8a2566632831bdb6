"""What a protocol plug-in takes and gives. Plug-ins are pure: text and values, no network, no files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from vpnctl.rules.desired import Identity, Link
from vpnctl.rules.observed import SeenPeer
from vpnctl.rules.secret import Secret


@dataclass(frozen=True)
class EndpointSpec:
    """One endpoint as the renderers need it."""

    id: str
    interface: str
    port: int
    pool_v4: str
    pool_v6: str | None
    dns: str
    mtu: int
    allowed_ips: str
    keepalive: int
    isolation: bool
    forward_rule: str
    """`none`, `docker` or `ufw`: which firewall of the host must be told to let forwarded packets pass."""
    public_key: str
    private_key: Secret | None
    """None where nobody may see it, such as when a client file is rendered."""
    removed: bool = False
    probe: AlienSpec | None = None
    """Our own peer for handshakes; it has no allowed IPs."""


@dataclass(frozen=True)
class AlienSpec:
    """A peer that is nobody's device: one found on the node, kept as it was, or our own probe."""

    public_key: str
    psk: Secret | None
    allowed_ips: str


@dataclass(frozen=True)
class PeerSpec:
    """One peer as the renderers need it."""

    id: str
    public_key: str
    psk: Secret | None
    ipv4: str
    ipv6: str | None


class ProtocolPlugin(Protocol):
    """The interface of `vpnctl.protocols.<name>` modules."""

    name: str
    interface_prefix: str
    default_port: int
    packages: tuple[tuple[str, str], ...]

    def keypair(self) -> tuple[Secret, str]:
        """Return a fresh (private, public) pair."""

    def psk(self) -> Secret:
        """Return a fresh preshared key."""

    def link(
        self, endpoint: EndpointSpec, peers: Sequence[PeerSpec], aliens: Sequence[AlienSpec], cut: frozenset[str]
    ) -> Link:
        """Return what the node must have for this endpoint. Deterministic."""

    def client_config(
        self, endpoint: EndpointSpec, public_host: str, peer: PeerSpec, private_key: Secret | None
    ) -> Secret:
        """Return the file that a client imports."""

    def parse_dump(self, lines: Sequence[str]) -> tuple[str, int, dict[str, SeenPeer]]:
        """Return (public key, port, peers) of the tool's dump. Raises ValueError when it makes no sense."""


__all__ = ["AlienSpec", "EndpointSpec", "Identity", "PeerSpec", "ProtocolPlugin"]
