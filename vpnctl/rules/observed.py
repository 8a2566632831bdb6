"""What one node was read to be."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from vpnctl.rules.path import SeenPath, Ways
from vpnctl.rules.secret import Secret


class SeenPsk(StrEnum):
    """A preshared key that the node did not name: it was compared with our file there."""

    SAME = "(same)"
    OTHER = "(other)"


@dataclass(frozen=True)
class SeenPeer:
    """One peer as the node shows it. Counters: bytes, as the node counts. Handshake: Unix seconds, 0 = never."""

    key: str
    psk: Secret | SeenPsk | None
    """The key itself only of a peer that our file on the node does not know; None: it has none."""
    allowed_ips: frozenset[str]
    handshake: int
    rx: int
    tx: int


@dataclass(frozen=True)
class SeenLink:
    """One interface as the node shows it."""

    public_key: str
    port: int
    mtu: int
    peers: dict[str, SeenPeer]
    index: int = 0
    """The interface's index: another one means that it was made anew and its counters began at zero."""
    filed: frozenset[str] = frozenset()
    """Keys that stand in the file there but are not live."""
    up: bool = True
    addresses: frozenset[str] = frozenset()
    routes: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Observed:
    """What one node was read to be."""

    token: str
    boot_id: str
    clock: int
    """The node's own clock, Unix seconds."""
    files: dict[str, tuple[str, str]]
    """Path -> (sha256 hex, mode); a missing file has no entry."""
    units: frozenset[str]
    """Units that are enabled. Whether they run is seen by what they bring: the interface, the firewall table."""
    links: dict[str, SeenLink]
    read_at: datetime
    """Our own clock when the reading began, in the operator's zone."""
    facts: dict[str, str] = field(default_factory=dict)
    ways: Ways | None = None
    paths: dict[str, tuple[SeenPath, ...]] = field(default_factory=dict)
    """Interface -> what the packet test found; none where it was not asked for."""

    @property
    def ipv6(self) -> bool:
        """Whether the node's kernel does IPv6 at all."""
        return self.facts.get("ipv6") != "off"


def psk_differs(want: Secret | None, have: Secret | SeenPsk | None, *, file_is_ours: bool) -> bool:
    """Return whether a live preshared key is known to be another one than wanted.

    One that equals the file's is right where the file is; where it is not, the file is written anyway.
    """
    if isinstance(have, SeenPsk):
        return have is SeenPsk.OTHER or (file_is_ours and want is None)
    return want != have
