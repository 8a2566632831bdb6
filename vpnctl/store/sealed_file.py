"""A sealed file: a header that anybody can read, then what only the holder of one of its keys can.

Each file has a key of its own, which the header carries sealed: for the holder of the recovery key (libsodium's sealed
box), and for the vault of the machine that wrote it. The rest is libsodium's secretstream (XChaCha20-Poly1305) in
parts of 64 KiB: changed, swapped or missing parts are noticed, and so is an end that was cut off. The header is
authenticated with the first part.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import secrets
from collections.abc import Callable
from datetime import datetime
from typing import Any, BinaryIO

from vpnctl.errors import StateTrouble
from vpnctl.rules.secret import Secret
from vpnctl.store import recovery
from vpnctl.store.vault import NIL, Vault

MAGIC = b"vpnctl backup 1\n"
LABEL = "backup.key"
_PART, _HEADER_BYTES, _KEY_BYTES = 65536, 65536, 32
_WRONG = "it is damaged, or was changed"


def new_key(public: str, keys: Vault) -> tuple[bytes, dict[str, str]]:
    """Return a fresh key, and it sealed: for the recovery key with that public half, and for this vault."""
    from nacl.public import PublicKey, SealedBox

    key = secrets.token_bytes(_KEY_BYTES)
    box = SealedBox(PublicKey(base64.b64decode(public)))
    text = Secret(base64.b64encode(key).decode())
    return key, {"recovery": base64.b64encode(box.encrypt(key)).decode(), "vault": keys.seal(LABEL, NIL, text)}


def key_of(header: dict[str, Any], keys: Vault | None, recovery_key: Secret | None) -> bytes:
    """Return the key of a file from what its header carries. StateTrouble when neither key opens it."""
    from nacl.exceptions import CryptoError
    from nacl.public import PrivateKey, SealedBox

    sealed = header.get("keys", {})
    if recovery_key is not None:
        try:
            return SealedBox(PrivateKey(recovery.raw(recovery_key))).decrypt(base64.b64decode(sealed["recovery"]))
        except (CryptoError, KeyError, ValueError):
            raise StateTrouble(
                "that recovery key does not open this backup", "use the one that was confirmed when it was made"
            ) from None
    if keys is None:
        raise StateTrouble("a backup is opened with its recovery key", "pipe it in, or type it on a terminal")
    try:
        return base64.b64decode(keys.open(LABEL, NIL, sealed["vault"]).reveal())
    except (KeyError, StateTrouble):
        raise StateTrouble(
            "this machine's key file does not open this backup", "with the recovery key: --recovery-key"
        ) from None


class SealedFile(io.RawIOBase):
    """Seals what is written to it, into an open file. It must be closed, or the file counts as cut off."""

    def __init__(self, out: BinaryIO, key: bytes, header: dict[str, Any]) -> None:
        from nacl import bindings as sodium

        super().__init__()
        head = json.dumps(header, separators=(",", ":"), sort_keys=True).encode() + b"\n"
        self._state = sodium.crypto_secretstream_xchacha20poly1305_state()
        start = sodium.crypto_secretstream_xchacha20poly1305_init_push(self._state, key)
        out.write(MAGIC + head + start)
        self._out, self._head, self._waiting = out, head, bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._waiting += data
        while len(self._waiting) > _PART:
            self._push(bytes(self._waiting[:_PART]), last=False)
            del self._waiting[:_PART]
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._push(bytes(self._waiting), last=True)
        super().close()

    def _push(self, part: bytes, *, last: bool) -> None:
        from nacl import bindings as sodium

        tag = (
            sodium.crypto_secretstream_xchacha20poly1305_TAG_FINAL
            if last
            else sodium.crypto_secretstream_xchacha20poly1305_TAG_MESSAGE
        )
        self._out.write(sodium.crypto_secretstream_xchacha20poly1305_push(self._state, part, self._head, tag))
        self._head = b""


class OpenedFile(io.RawIOBase):
    """Opens a sealed file as a stream. StateTrouble as soon as what is read is not what was written."""

    def __init__(self, file: BinaryIO, key: Callable[[dict[str, Any]], bytes]) -> None:
        from nacl import bindings as sodium

        super().__init__()
        self.header, head = _header(file)
        start = file.read(sodium.crypto_secretstream_xchacha20poly1305_HEADERBYTES)
        self._state = sodium.crypto_secretstream_xchacha20poly1305_state()
        try:
            sodium.crypto_secretstream_xchacha20poly1305_init_pull(self._state, start, key(self.header))
        except ValueError:
            raise StateTrouble("this backup does not open: it is cut off", "take another one") from None
        self._file, self._head, self._ready, self._over = file, head, b"", False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready and not self._over:
            self._ready = self._pull()
        part, self._ready = self._ready[: len(buffer)], self._ready[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)

    def _pull(self) -> bytes:
        from nacl import bindings as sodium
        from nacl.exceptions import CryptoError

        sealed = self._file.read(_PART + sodium.crypto_secretstream_xchacha20poly1305_ABYTES)
        try:
            part, tag = sodium.crypto_secretstream_xchacha20poly1305_pull(self._state, sealed, self._head)
        except (CryptoError, ValueError, RuntimeError):
            raise StateTrouble(
                f"this backup does not open: {_WRONG if sealed else 'it is cut off'}", "take another one"
            ) from None
        self._head = b""
        self._over = tag == sodium.crypto_secretstream_xchacha20poly1305_TAG_FINAL
        if self._over and self._file.read(1):
            raise StateTrouble("this backup does not open: something stands behind its end", "take another one")
        return bytes(part)


def header_of(file: BinaryIO) -> dict[str, Any]:
    """Return the header of a backup. StateTrouble for a file that is none; nothing of it is authenticated yet."""
    return _header(file)[0]


def _header(file: BinaryIO) -> tuple[dict[str, Any], bytes]:
    if file.read(len(MAGIC)) != MAGIC:
        raise StateTrouble("that is not a backup of vpnctl, or one of a newer kind", "name another file")
    head = file.readline(_HEADER_BYTES)
    try:
        found = json.loads(head)
        base64.b64decode(found["keys"]["recovery"], validate=True)
        texts = (found["schema"], found["keys"]["vault"])
        if datetime.fromisoformat(found["created_at"]).tzinfo is None or not all(
            isinstance(each, str) for each in texts
        ):
            raise ValueError("no header of ours")
    except (ValueError, KeyError, TypeError, RecursionError, binascii.Error):
        raise StateTrouble("this backup does not open: its header is damaged", "take another one") from None
    return found, head
