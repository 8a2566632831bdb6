"""What is wrong with a node and not vpnctl's to change, each with what to type."""

from __future__ import annotations

from dataclasses import dataclass

from vpnctl.rules.changes import SYSTEM, Change


@dataclass(frozen=True)
class Note(Change):
    """Something about an interface, or another thing of the node's, that is not vpnctl's to change, with advice."""

    about = "{on}"
    how = "{told}"
    scope = SYSTEM
    on: str
    told: str
    do: str

    @property
    def advice(self) -> str:
        """Return what to type."""
        return self.do


class FirewallBlocks(Note):
    """A chain on the node drops what peers send or get."""

    kind = "blocked by firewall"


class MtuTooLarge(Note):
    """The endpoint's packets do not fit the node's line."""

    kind = "MTU too large"


class PoolOverlaps(Note):
    """Another network of the node takes packets of the pool."""

    kind = "pool overlaps"


class PacketsLost(Note):
    """A packet that was sent through the node did not come back."""

    kind = "packets do not pass"


class CertificateEnds(Note):
    """The certificate of an endpoint ends soon, or has ended."""

    kind = "certificate ends"


class ConnectionsUncut(Note):
    """People were cut off, and nobody knows which open connections are theirs."""

    kind = "open connections"


class InboundDiffers(Note):
    """An inbound was changed in its panel: what people were given may not fit it any more."""

    kind = "changed in the panel"


class PreloadStale(Note):
    """A line of /etc/ld.so.preload names a file that is gone."""

    kind = "stale preload"


class HandshakeSilent(Note):
    """The endpoint did not answer a handshake from here."""

    kind = "no handshake"


class ProgramOther(Note):
    """A program that no package brings came from another archive than the one that is pinned now.

    People's connections live in it, so it is not changed by the way.
    """

    kind = "program is another version"
