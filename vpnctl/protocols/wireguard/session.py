"""A WireGuard client without an interface: the handshake as a conversation, and the session that it opens.

Transport messages: WireGuard paper, 5.4.6.
"""

from __future__ import annotations

import os
import struct

from vpnctl.protocols.conversation import Heard
from vpnctl.protocols.wireguard import handshake
from vpnctl.protocols.wireguard.handshake import PLAIN, Answer, Identity, Initiation, Kinds, Sign

_LEAST, _LEAST_PACKET = 32, 28


class Initiator:
    """A handshake, begun anew whenever the server asks for that or does not answer."""

    def __init__(self, identity: Identity, kinds: Kinds = PLAIN) -> None:
        self.identity, self._kinds = identity, kinds
        self._sent: Initiation | None = None
        self._cookie = b""
        self._answer: Answer | None = None

    def say(self, seconds: int, nanoseconds: int) -> bytes:
        """Return a first message, with the cookie that a server under load has asked for."""
        index = int.from_bytes(os.urandom(4), "little")
        sent = handshake.initiate(self.identity, os.urandom(32), index, seconds, nanoseconds, self._kinds.first)
        self._sent = sent.with_cookie(self._cookie) if self._cookie else sent
        return self._sent.packet

    def hear(self, packet: bytes) -> Heard:
        """Return what a packet says about the last first message."""
        answer = handshake.read(self._sent, packet, self._kinds) if self._sent else Answer(Sign.FOREIGN)
        if answer.sign is Sign.COOKIE:
            self._cookie = answer.cookie
        if answer.sign is Sign.OK:
            self._answer = answer
        return _HEARD[answer.sign]

    def session(self) -> TransportSession:
        """Return the session that an OK opened."""
        if self._answer is None:
            raise ValueError("a session needs a handshake that was answered")
        return TransportSession(self._answer, self._kinds)


class TransportSession:
    """IP packets in transport messages, numbered as they are sealed."""

    def __init__(self, answer: Answer, kinds: Kinds = PLAIN) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

        sending, receiving = handshake.session_keys(answer)
        self._receiver, self._counter, self._kinds = answer.receiver, 0, kinds
        self._seal, self._open = ChaCha20Poly1305(sending), ChaCha20Poly1305(receiving)

    def seal(self, packet: bytes) -> bytes:
        """Return the datagram for an IP packet; an empty one keeps the session alive."""
        padded = packet + bytes(-len(packet) % 16)
        nonce = struct.pack("<IQ", 0, self._counter)
        head = struct.pack("<IIQ", self._kinds.data, self._receiver, self._counter)
        self._counter += 1
        return head + self._seal.encrypt(nonce, padded, None)

    def unseal(self, datagram: bytes) -> bytes | None:
        """Return the IPv4 packet in a datagram; None when there is none."""
        from cryptography.exceptions import InvalidTag

        if len(datagram) < _LEAST or int.from_bytes(datagram[:4], "little") not in self._kinds.data_back:
            return None
        try:
            packet = self._open.decrypt(bytes(4) + datagram[8:16], datagram[16:], None)
        except InvalidTag:
            return None
        return packet if len(packet) >= _LEAST_PACKET and packet[0] >> 4 == 4 else None  # noqa: PLR2004


_HEARD = {
    Sign.OK: Heard.OK,
    Sign.PSK_MISMATCH: Heard.WRONG_SECRET,
    Sign.COOKIE: Heard.AGAIN,
    Sign.FOREIGN: Heard.FOREIGN,
}
