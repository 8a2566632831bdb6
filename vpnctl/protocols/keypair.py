"""Key pairs of X25519, which several protocols have (RFC 7748)."""

from __future__ import annotations

import base64
import os

from vpnctl.rules.secret import Secret


def new() -> tuple[str, Secret]:
    """Return (public key, private key), base64. The private one is clamped, so that files and tools agree on it."""
    raw = bytearray(os.urandom(32))
    raw[0] &= 248
    raw[31] = (raw[31] & 127) | 64
    return base64.b64encode(public(bytes(raw))).decode(), Secret(base64.b64encode(raw).decode())


def public(private: bytes) -> bytes:
    """Return the public key of a raw private key."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
