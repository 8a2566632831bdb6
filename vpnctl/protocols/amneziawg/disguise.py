"""A client of AmneziaWG without an interface: WireGuard's handshake and session, with other numbers, and bytes before.

Source: amneziawg-go, device/noise-protocol.go and send.go. A message's checksum covers its number, not what is before.
"""

from __future__ import annotations

import base64
import os
import secrets

from vpnctl.protocols.amneziawg.parameters import Parameters
from vpnctl.protocols.conversation import Heard
from vpnctl.protocols.wireguard.handshake import COOKIE, RESPONSE, Identity, Kinds
from vpnctl.protocols.wireguard.session import Initiator, TransportSession
from vpnctl.rules.secret import Secret


class DisguisedInitiator:
    """WireGuard's conversation with a server that has these parameters."""

    def __init__(self, identity: Identity, parameters: Parameters, header_key: Secret | None = None) -> None:
        first, answer, cookie, data = parameters.types()
        self._set_to = parameters
        self._key = base64.b64decode(header_key.reveal()) if header_key else b""
        self._trailers = parameters.random_trailers == "on"
        self.identity = identity
        self._inner = Initiator(identity, Kinds(_any(first), answer, cookie, _any(data), data))

    def say(self, seconds: int, nanoseconds: int) -> bytes:
        """Return a first message. Junk before it is left out: servers ignore it."""
        salt = os.urandom(self._set_to.s1)
        return salt + _hidden(self._key, salt, self._inner.say(seconds, nanoseconds))

    def hear(self, packet: bytes) -> Heard:
        """Return what a packet says about the last first message."""
        for padding, length in ((self._set_to.s2, RESPONSE), (self._set_to.s3, COOKIE)):
            if len(packet) == padding + length or (self._trailers and len(packet) > padding + length):
                heard = self._inner.hear(_hidden(self._key, packet, packet[padding : padding + length]))
                if heard is not Heard.FOREIGN:
                    return heard
        return Heard.FOREIGN

    def session(self) -> DisguisedSession:
        """Return the session that an OK opened."""
        return DisguisedSession(self._inner.session(), self._set_to.s4, self._key)


class DisguisedSession:
    """WireGuard's session with bytes before each datagram."""

    def __init__(self, inner: TransportSession, padding: int, key: bytes = b"") -> None:
        self._inner, self._padding, self._key = inner, padding, key

    def seal(self, packet: bytes) -> bytes:
        """Return the datagram that carries an IP packet."""
        salt, sealed = os.urandom(self._padding), self._inner.seal(packet)
        return salt + _hidden(self._key, salt, sealed[:HEADER]) + sealed[HEADER:]

    def unseal(self, datagram: bytes) -> bytes | None:
        """Return the IP packet in a datagram; None when there is none."""
        sealed = datagram[self._padding :]
        return self._inner.unseal(_hidden(self._key, datagram, sealed[:HEADER]) + sealed[HEADER:])


def _hidden(key: bytes, salt: bytes, part: bytes) -> bytes:
    """Return a part of a message with ChaCha20 over it, or without; the salt are the first bytes before the message."""
    if not key or len(salt) < _SALT:
        return part
    from cryptography.hazmat.primitives.ciphers import Cipher
    from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20

    return Cipher(ChaCha20(key, bytes(4) + salt[:_SALT]), None).encryptor().update(part)


HEADER = 16
"""Bytes of a message of data before what is encrypted: number, receiver, counter."""
_SALT = 12


def _any(kinds: range) -> int:
    return kinds.start + secrets.randbelow(len(kinds))
