"""The recovery key: shown once, it opens the copy of the vault's keys that the database carries.

A sealed box: ephemeral X25519, HKDF-SHA256, AES-256-GCM. The database holds only the public half, so that a
fresh copy can be sealed whenever the vault's keys change, without the recovery key being there.
"""

from __future__ import annotations

import base64
import binascii
import secrets

from vpnctl.errors import InvalidInput, StateTrouble
from vpnctl.rules.secret import Secret

_LABEL = b"vpnctl recovery v1"
_PREFIX = "vpnctl-recovery-"
_KEY_BYTES, _NONCE_BYTES, _GROUP = 32, 12, 8


def create() -> tuple[str, Secret]:
    """Return (public half in base64, recovery key as people write it down)."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    private = X25519PrivateKey.generate()
    digits = base64.b32encode(private.private_bytes_raw()).decode().rstrip("=").lower()
    groups = "-".join(digits[start : start + _GROUP] for start in range(0, len(digits), _GROUP))
    return base64.b64encode(private.public_key().public_bytes_raw()).decode(), Secret(_PREFIX + groups)


def public_of(recovery_key: Secret) -> str:
    """Return the public half of a recovery key; InvalidInput when it is none."""
    return base64.b64encode(_private(recovery_key).public_key().public_bytes_raw()).decode()


def seal(public: str, secret: Secret) -> str:
    """Return `secret` sealed for the holder of the recovery key, in base64."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    ephemeral = X25519PrivateKey.generate()
    target = X25519PublicKey.from_public_bytes(base64.b64decode(public))
    mine = ephemeral.public_key().public_bytes_raw()
    nonce = secrets.token_bytes(_NONCE_BYTES)
    key = _derive(ephemeral.exchange(target), mine, target.public_bytes_raw())
    return base64.b64encode(mine + nonce + AESGCM(key).encrypt(nonce, secret.reveal().encode(), _LABEL)).decode()


def unseal(recovery_key: Secret, sealed: str) -> Secret:
    """Return what `seal` sealed; StateTrouble when it is not for this recovery key."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    private = _private(recovery_key)
    try:
        raw = base64.b64decode(sealed, validate=True)
        theirs, nonce = raw[:_KEY_BYTES], raw[_KEY_BYTES : _KEY_BYTES + _NONCE_BYTES]
        shared = private.exchange(X25519PublicKey.from_public_bytes(theirs))
        key = _derive(shared, theirs, private.public_key().public_bytes_raw())
        return Secret(AESGCM(key).decrypt(nonce, raw[_KEY_BYTES + _NONCE_BYTES :], _LABEL).decode())
    except (binascii.Error, ValueError):
        raise StateTrouble("the sealed copy of the vault's keys is damaged", "restore a backup") from None
    except InvalidTag:
        raise StateTrouble(
            "that recovery key does not belong to this database", "use the key that `vpnctl init` showed"
        ) from None


def raw(recovery_key: Secret) -> bytes:
    """Return the 32 bytes of a recovery key, an X25519 private key; InvalidInput when it is none."""
    return bytes(_private(recovery_key).private_bytes_raw())


def _private(recovery_key: Secret):  # type: ignore[no-untyped-def]  # noqa: ANN202
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    digits = recovery_key.reveal().strip().lower().removeprefix(_PREFIX).replace("-", "").replace(" ", "").upper()
    try:
        raw = base64.b32decode(digits + "=" * (-len(digits) % 8))
        if base64.b32encode(raw).decode().rstrip("=") != digits:  # its last letter has bits to spare
            raise ValueError("not as we write it")
        return X25519PrivateKey.from_private_bytes(raw)
    except (binascii.Error, ValueError):
        raise InvalidInput("that is not a recovery key", f"it begins with {_PREFIX}") from None


def _derive(shared: bytes, mine: bytes, theirs: bytes) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(SHA256(), _KEY_BYTES, salt=mine + theirs, info=_LABEL).derive(shared)
