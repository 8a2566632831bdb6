"""What carries packets through a node: its ways out, and what became of a packet that was sent to find out. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from vpnctl.rules import firewall
from vpnctl.rules.grammar import Network

LEAST_MTU = 1280
"""IPv6 wants the least one of every line."""


class PathCode(StrEnum):
    """What became of a packet that a peer sent through the node, and of the answer."""

    OK = "ok"
    BUSY = "busy"
    SETUP = "setup"
    HANDSHAKE = "handshake"
    OUT = "out"
    BACK = "back"
    LOST = "lost"
    TARGET = "target"


PATH_WORDS = {
    PathCode.BUSY: "not tried: another vpnctl was at work there",
    PathCode.SETUP: "the test itself failed on the node",
    PathCode.HANDSHAKE: "no handshake over the node's own network: a firewall drops what comes in",
    PathCode.OUT: "packets of peers do not leave the node",
    PathCode.BACK: "answers do not come back to peers",
    PathCode.LOST: "answers get lost between the node and its peers",
    PathCode.TARGET: "the site whose face it borrows does not answer with TLS 1.3, so nobody can connect",
}


@dataclass(frozen=True)
class SeenPath:
    """What the packet test found for one family of addresses (4, 6, or 0 where it did not get that far)."""

    family: int
    code: PathCode


@dataclass(frozen=True)
class Ways:
    """How packets can leave a node, what else is there, and what its firewalls do. Read in the system scope only."""

    lines: dict[int, int] = field(default_factory=dict)
    """Family (4, 6) -> MTU of the interface that the default route takes."""
    networks: tuple[tuple[str, Network], ...] = ()
    """(interface, network) of everything that has an address or a route."""
    chains: tuple[firewall.Chain, ...] = ()
    stale: tuple[str, ...] = ()
    """Entries of /etc/ld.so.preload that do not exist: each program on the node complains of them."""
    wan: tuple[str, ...] = ()
    """The interfaces of the default routes."""


def fitting_mtu(ways: Ways, overhead: int, most: int) -> int | None:
    """Return the largest MTU of a tunnel whose packets fit the node's line; None: not known. Never more than `most`.

    `overhead`: bytes that the tunnel adds to a packet.
    """
    return max(LEAST_MTU, min(most, min(ways.lines.values()) - overhead)) if ways.lines else None


def path_words(path: SeenPath) -> str:
    """Return what the packet test found, in words."""
    family = f"IPv{path.family}: " if path.family else ""
    return f"{family}{PATH_WORDS.get(path.code, 'ok')}"
