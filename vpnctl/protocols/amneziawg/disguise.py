"""A client of AmneziaWG without an interface: WireGuard's handshake and session, with other numbers, and bytes before.

Source: amneziawg-go, device/noise-protocol.go and send.go. A message's checksum covers its number, not what is before.
"""

from __future__ import annotations

import os
import secrets

from vpnctl.protocols.amneziawg.parameters import Parameters
from vpnctl.protocols.interface import Heard
from vpnctl.protocols.wireguard.handshake import COOKIE, RESPONSE, Identity, Kinds
from vpnctl.protocols.wireguard.session import Initiator, TransportSession


class DisguisedInitiator:
    """WireGuard's conversation with a server that has these parameters."""

    def __init__(self, identity: Identity, parameters: Parameters) -> None:
        first, answer, cookie, data = parameters.types()
        self._set_to = parameters
        self.identity = identity
        self._inner = Initiator(identity, Kinds(_any(first), answer, cookie, _any(data), data))

    def say(self, seconds: int, nanoseconds: int) -> bytes:
        """Return a first message. Junk before it is left out: servers ignore it."""
        return os.urandom(self._set_to.s1) + self._inner.say(seconds, nanoseconds)

    def hear(self, packet: bytes) -> Heard:
        """Return what a packet says about the last first message."""
        for padding, length in ((self._set_to.s2, RESPONSE), (self._set_to.s3, COOKIE)):
            if len(packet) == padding + length:
                heard = self._inner.hear(packet[padding:])
                if heard is not Heard.FOREIGN:
                    return heard
        return Heard.FOREIGN

    def session(self) -> DisguisedSession:
        """Return the session that an OK opened."""
        return DisguisedSession(self._inner.session(), self._set_to.s4)


class DisguisedSession:
    """WireGuard's session with bytes before each datagram."""

    def __init__(self, inner: TransportSession, padding: int) -> None:
        self._inner, self._padding = inner, padding

    def seal(self, packet: bytes) -> bytes:
        """Return the datagram that carries an IP packet."""
        return os.urandom(self._padding) + self._inner.seal(packet)

    def unseal(self, datagram: bytes) -> bytes | None:
        """Return the IP packet in a datagram; None when there is none."""
        return self._inner.unseal(datagram[self._padding :])


def _any(kinds: range) -> int:
    return kinds.start + secrets.randbelow(len(kinds))
