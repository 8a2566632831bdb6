"""What one node was read to be."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from vpnctl.rules.path import SeenPath, Ways
from vpnctl.rules.secret import Secret

_COUNTER_LIMIT = 2**53
"""Nine petabytes; what a node counts beyond is a lie, and sums of many must fit the database."""


def counter(text: str) -> int:
    """Return a node's number as it is, or clamped into what every database can hold."""
    if not text.isascii() or not text.removeprefix("-").isdigit():
        raise ValueError("a counter that is not a number")
    return min(max(int(text[:24]), 0), _COUNTER_LIMIT)


class SeenShared(StrEnum):
    """A shared secret that the node did not name: it was compared with our file there."""

    SAME = "(same)"
    OTHER = "(other)"


@dataclass(frozen=True)
class SeenPeer:
    """One peer as the node shows it. Counters: bytes, as the node counts.

    Handshake: Unix seconds when the node last heard of it, 0: never, None: it does not tell.
    """

    identity: str
    shared: Secret | SeenShared | None
    """The secret itself only of a peer that our file on the node does not know; None: it has none."""
    allowed_ips: frozenset[str]
    handshake: int | None
    rx: int
    tx: int
    enabled: bool = True
    """False: it stands there, and may not connect."""
    switched_off: bool = False
    """Whether that is so by a switch of its own, and not by a limit that may be lifted there at any time."""
    odd: str = ""
    """What of it is not as we want it, beside its secret; empty where all is."""


@dataclass(frozen=True)
class SeenInterface:
    """A network interface as the node shows it."""

    mtu: int
    up: bool = True
    addresses: frozenset[str] = frozenset()
    routes: frozenset[str] = frozenset()


@dataclass(frozen=True)
class SeenEndpoint:
    """One endpoint that runs, as the node shows it."""

    identity: str
    port: int
    peers: dict[str, SeenPeer]
    epoch: int = 0
    """Another one (such as an interface's index) means that it was made anew and its counters began at zero."""
    filed: frozenset[str] = frozenset()
    """Identities that stand in the file there but are not live."""
    interface: SeenInterface | None = None
    others: frozenset[str] = frozenset()
    """Names of parameters that are live otherwise than the file there says."""
    lingering: int = 0
    """Open connections of people who are not live any more."""
    ends: int | None = None
    """When its certificate ends, Unix seconds; None: it has none, or that could not be read."""
    off: bool = False
    """Whether nobody can connect to it now, although who is in it is known."""
    strays: dict[str, SeenPeer] = field(default_factory=dict)
    """Peers with names of ours that stand elsewhere on the node; whose they are, only their endpoint knows."""
    uncut: bool = False
    """Whether people were just cut off whose open connections nobody could find."""

    @property
    def live(self) -> dict[str, SeenPeer]:
        """Those who may connect."""
        return {identity: peer for identity, peer in self.peers.items() if peer.enabled}


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
    endpoints: dict[str, SeenEndpoint]
    """Name -> what runs there under it."""
    read_at: datetime
    """Our own clock when the reading began, in the operator's zone."""
    facts: dict[str, str] = field(default_factory=dict)
    ways: Ways | None = None
    paths: dict[str, tuple[SeenPath, ...]] = field(default_factory=dict)
    """Endpoint -> what the packet test found; none where it was not asked for."""

    @property
    def up(self) -> frozenset[str]:
        """The endpoints to which people can connect."""
        return frozenset(name for name, seen in self.endpoints.items() if not seen.off)

    @property
    def ipv6(self) -> bool:
        """Whether the node's kernel does IPv6 at all."""
        return self.facts.get("ipv6") != "off"


def shared_differs(want: Secret | None, have: Secret | SeenShared | None, *, file_is_ours: bool) -> bool:
    """Return whether a live shared secret is known to be another one than wanted.

    One that equals the file's is right where the file is; where it is not, the file is written anyway.
    """
    if isinstance(have, SeenShared):
        return have is SeenShared.OTHER or (file_is_ours and want is None)
    return want != have
