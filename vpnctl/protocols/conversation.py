"""What a client and an endpoint say to each other, as datagrams."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol


class Heard(StrEnum):
    """What a packet from an endpoint says."""

    OK = "ok"
    WRONG_SECRET = "wrong secret"  # noqa: S105 - a verdict
    AGAIN = "again"
    """It wants the first packet once more."""
    FOREIGN = "foreign"
    """Not an answer to what we sent."""


class Session(Protocol):
    """What follows a conversation that ended well: IP packets in datagrams."""

    def seal(self, packet: bytes) -> bytes:
        """Return the datagram that carries an IP packet."""

    def unseal(self, datagram: bytes) -> bytes | None:
        """Return the IP packet in a datagram; None when there is none."""


class Conversation(Protocol):
    """A client's first words with an endpoint, as datagrams."""

    def say(self, seconds: int, nanoseconds: int) -> bytes:
        """Return the next packet to send; the time must be later than in any earlier one of this identity."""

    def hear(self, packet: bytes) -> Heard:
        """Return what a packet says about the last one that was sent."""

    def session(self) -> Session:
        """Return the session that an OK opened."""
