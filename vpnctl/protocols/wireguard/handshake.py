"""The WireGuard handshake, the client's half, as bytes. Pure: no network, no clock, no randomness of its own.

Source: the WireGuard paper, sections 5.4.1 to 5.4.7 (Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s). Fields are little endian.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import struct
from dataclasses import dataclass
from enum import StrEnum

from vpnctl.protocols import keypair

INITIATION, RESPONSE, COOKIE = 148, 92, 64
"""Lengths of the messages, bytes."""
_CONSTRUCTION = b"Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s"
_IDENTIFIER = b"WireGuard v1 zx2c4 Jason@zx2c4.com"
_LABEL_MAC1, _LABEL_COOKIE = b"mac1----", b"cookie--"
_NONCE = bytes(12)
_TAI_OFFSET = 0x400000000000000A
NO_PSK = bytes(32)


@dataclass(frozen=True)
class Kinds:
    """The numbers that say what a message is: those that we send, and those that we take for what a server sends."""

    first: int = 1
    answer: range = range(2, 3)
    cookie: range = range(3, 4)
    data: int = 4
    data_back: range = range(4, 5)


PLAIN = Kinds()


class Sign(StrEnum):
    """What a packet from the server says."""

    OK = "ok"
    PSK_MISMATCH = "psk mismatch"
    COOKIE = "cookie"
    FOREIGN = "foreign"
    """Not an answer to what we sent."""


@dataclass(frozen=True)
class Identity:
    """Who shakes hands with whom: raw 32 byte keys."""

    private: bytes
    server_public: bytes
    psk: bytes = NO_PSK


@dataclass(frozen=True)
class Initiation:
    """A first message, and what is needed to read its answer."""

    packet: bytes
    index: int
    chain: bytes
    hash: bytes
    ephemeral: bytes
    identity: Identity

    @property
    def mac1(self) -> bytes:
        """The first MAC, which a cookie is bound to."""
        return self.packet[116:132]

    def with_cookie(self, cookie: bytes) -> Initiation:
        """Return the same message with the second MAC that a server under load asks for."""
        body = self.packet[:132]
        packet = body + _mac(cookie, body)
        return Initiation(packet, self.index, self.chain, self.hash, self.ephemeral, self.identity)


@dataclass(frozen=True)
class Answer:
    """What a packet says; `cookie` when it is one, else what the session's keys are derived from and whose it is."""

    sign: Sign
    cookie: bytes = b""
    chain: bytes = b""
    receiver: int = 0


def initiate(
    identity: Identity, ephemeral: bytes, index: int, seconds: int, nanoseconds: int, kind: int = 1
) -> Initiation:
    """Return the first message. The time must be later than in any earlier one of this key, or it is dropped."""
    server = identity.server_public
    chain = _hash(_CONSTRUCTION)
    state = _hash(_hash(chain + _IDENTIFIER) + server)
    public = keypair.public(ephemeral)
    state = _hash(state + public)
    (chain,) = _kdf(chain, public, 1)
    chain, key = _kdf(chain, _dh(ephemeral, server), 2)
    static = _seal(key, keypair.public(identity.private), state)
    state = _hash(state + static)
    chain, key = _kdf(chain, _dh(identity.private, server), 2)
    stamp = _seal(key, struct.pack(">QI", _TAI_OFFSET + seconds, nanoseconds), state)
    state = _hash(state + stamp)
    body = struct.pack("<II", kind, index) + public + static + stamp
    packet = body + _mac(_hash(_LABEL_MAC1 + server), body) + bytes(16)
    return Initiation(packet, index, chain, state, ephemeral, identity)


def read(sent: Initiation, packet: bytes, kinds: Kinds = PLAIN) -> Answer:
    """Return what a packet from the server says about `sent`."""
    if len(packet) not in (COOKIE, RESPONSE):
        return Answer(Sign.FOREIGN)
    kind, first, second = struct.unpack("<III", packet[:12])
    if len(packet) == COOKIE and kind in kinds.cookie and first == sent.index:
        return _read_cookie(sent, packet)
    if len(packet) != RESPONSE or kind not in kinds.answer or second != sent.index:
        return Answer(Sign.FOREIGN)
    own = keypair.public(sent.identity.private)
    if not hmac.compare_digest(_mac(_hash(_LABEL_MAC1 + own), packet[:60]), packet[60:76]):
        return Answer(Sign.FOREIGN)
    return _read_response(sent, packet)


def _read_response(sent: Initiation, packet: bytes) -> Answer:
    from cryptography.exceptions import InvalidTag

    theirs = packet[12:44]
    state = _hash(sent.hash + theirs)
    (chain,) = _kdf(sent.chain, theirs, 1)
    try:
        (chain,) = _kdf(chain, _dh(sent.ephemeral, theirs), 1)
        (chain,) = _kdf(chain, _dh(sent.identity.private, theirs), 1)
    except ValueError:  # a point of small order
        return Answer(Sign.FOREIGN)
    chain, tau, key = _kdf(chain, sent.identity.psk, 3)
    try:
        _open(key, _NONCE, packet[44:60], _hash(state + tau))
    except InvalidTag:
        return Answer(Sign.PSK_MISMATCH)
    return Answer(Sign.OK, chain=chain, receiver=struct.unpack("<I", packet[4:8])[0])


def _read_cookie(sent: Initiation, packet: bytes) -> Answer:
    from cryptography.exceptions import InvalidTag

    key, nonce = _hash(_LABEL_COOKIE + sent.identity.server_public), packet[8:32]
    try:
        cookie = _open(_hchacha(key, nonce[:16]), bytes(4) + nonce[16:], packet[32:], sent.mac1)
    except InvalidTag:
        return Answer(Sign.FOREIGN)
    return Answer(Sign.COOKIE, cookie=cookie)


def public_key(private: bytes) -> str:
    """Return the public key of a raw private key, in base64."""
    return base64.b64encode(keypair.public(private)).decode()


def session_keys(answer: Answer) -> tuple[bytes, bytes]:
    """Return the keys (sending, receiving) of the session that an OK answer opened."""
    sending, receiving = _kdf(answer.chain, b"", 2)
    return sending, receiving


def _hash(data: bytes) -> bytes:
    return hashlib.blake2s(data).digest()


def _mac(key: bytes, data: bytes) -> bytes:
    return hashlib.blake2s(data, key=key, digest_size=16).digest()


def _kdf(key: bytes, data: bytes, count: int) -> tuple[bytes, ...]:
    secret = hmac.new(key, data, hashlib.blake2s).digest()
    found: list[bytes] = []
    for number in range(1, count + 1):
        found.append(hmac.new(secret, (found[-1] if found else b"") + bytes([number]), hashlib.blake2s).digest())
    return tuple(found)


def _dh(private: bytes, public: bytes) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

    return X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(public))


def _seal(key: bytes, text: bytes, extra: bytes) -> bytes:
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    return ChaCha20Poly1305(key).encrypt(_NONCE, text, extra)


def _open(key: bytes, nonce: bytes, sealed: bytes, extra: bytes) -> bytes:
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    return ChaCha20Poly1305(key).decrypt(nonce, sealed, extra)


def _hchacha(key: bytes, nonce: bytes) -> bytes:
    """HChaCha20 (draft-irtf-cfrg-xchacha, 2.2), from ChaCha20's block: its output minus its input, rows 1 and 4."""
    from cryptography.hazmat.primitives.ciphers import Cipher
    from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20

    block = Cipher(ChaCha20(key, nonce), mode=None).encryptor().update(bytes(64))
    words, start = struct.unpack("<16I", block), struct.unpack("<4I", b"expand 32-byte k")
    end = struct.unpack("<4I", nonce)
    mixed = [(word - before) % 2**32 for word, before in zip((*words[:4], *words[12:]), (*start, *end), strict=True)]
    return struct.pack("<8I", *mixed)
