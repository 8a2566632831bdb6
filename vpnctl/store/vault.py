"""Secrets at rest: AES-256-GCM, bound to the row they belong to.

A sealed text is `v1.KEYID.BASE64URL(nonce || ciphertext)`. Associated data: a literal label that is fixed for
ever (`peer.psk`), a NUL, and the bytes of the row's UUID; so a value moved to another row does not open.
The key file holds lines `KEYID BASE64`; the last one seals, all of them open.
"""

from __future__ import annotations

import base64
import os
import secrets
import stat
import uuid
from collections.abc import Callable
from pathlib import Path

from vpnctl.errors import InvalidInput, StateTrouble
from vpnctl.rules.secret import Secret

_NONCE_BYTES, _KEY_BYTES = 12, 32
NIL = str(uuid.UUID(int=0))
"""The row id of values that belong to the whole service."""


class Vault:
    """Opens and seals. The key file is read at the first use."""

    def __init__(self, path: Path, belongs: Callable[[Vault], None] | None = None) -> None:
        self._path = path
        self._keys: dict[str, bytes] = {}
        self._belongs = belongs
        """Raises StateTrouble when the key file is another database's; asked once, before anything is sealed."""

    @classmethod
    def holding(cls, text: Secret) -> Vault:
        """Return a vault with the keys of a key file's text, which lies nowhere. StateTrouble where it is none."""
        found = cls(Path("(in memory)"))
        found._keys = _parsed(text.reveal())
        if not found._keys:
            raise StateTrouble("the copy of the vault's keys is damaged", "take another backup")
        return found

    @property
    def current(self) -> str:
        """The id of the key that seals."""
        return list(self._load())[-1]

    def seal(self, label: str, row_id: str, secret: Secret) -> str:
        """Return the sealed text of `secret` for that row."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        if self._belongs is not None:
            self._belongs(self)
            self._belongs = None
        key_id = self.current
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = AESGCM(self._load()[key_id]).encrypt(nonce, secret.reveal().encode(), _context(label, row_id))
        return f"v1.{key_id}.{base64.urlsafe_b64encode(nonce + sealed).decode()}"

    def open(self, label: str, row_id: str, sealed: str) -> Secret:
        """Return the secret in `sealed`; StateTrouble when the key is missing or the value is not this row's."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        try:
            version, key_id, text = sealed.split(".")
            raw = base64.urlsafe_b64decode(text)
        except ValueError:
            version, key_id, raw = "", "", b""
        if version != "v1":
            raise StateTrouble(f"a sealed value ({label}) is damaged", "restore a backup")
        if key_id not in self._load():
            raise StateTrouble(
                f"the key {key_id} that sealed {label} is not in {self._path}",
                "bring the right key file back, or: vpnctl vault recover",
            )
        try:
            text = (
                AESGCM(self._load()[key_id])
                .decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], _context(label, row_id))
                .decode()
            )
        except (InvalidTag, ValueError):
            raise StateTrouble(
                f"a sealed value ({label}) does not open: wrong key file, or the value was moved",
                "bring the right key file back",
            ) from None
        return Secret(text)

    def file_text(self) -> Secret:
        """Return the text of the key file."""
        return Secret(_text(self._load()))

    def add_key(self) -> str:
        """Add a fresh key that seals from now on; return its id."""
        keys = dict(self._load())
        key_id = _fresh_id(keys)
        keys[key_id] = secrets.token_bytes(_KEY_BYTES)
        self._replace(keys)
        return key_id

    def drop_old_keys(self) -> None:
        """Forget every key but the one that seals."""
        key_id = self.current
        self._replace({key_id: self._load()[key_id]})

    def key_ids(self) -> list[str]:
        """Return the ids of all keys, the sealing one last."""
        return list(self._load())

    def _replace(self, keys: dict[str, bytes]) -> None:
        write_private(self._path, _text(keys), replace=True)
        self._keys = keys

    def _load(self) -> dict[str, bytes]:
        if not self._keys:
            self._keys = _read(self._path)
        return self._keys


def create(path: Path) -> Vault:
    """Make a key file with one fresh key; one that exists is kept and checked."""
    if path.exists():
        vault = Vault(path)
        vault.key_ids()
        return vault
    write_private(path, _text({_fresh_id({}): secrets.token_bytes(_KEY_BYTES)}))
    return Vault(path)


def write_private(path: Path, text: str, *, replace: bool = False, durable: bool = True) -> None:
    """Write a 0600 file that is never world-readable nor half written. Refuses an existing one unless `replace`.

    `durable` waits until the disk has it; a copy of something that the database holds need not.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    target = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as out:
                out.write(text)
                out.flush()
                if durable:
                    os.fsync(out.fileno())
            if replace:
                target.replace(path)
            else:
                os.link(target, path)  # which refuses an existing one
                target.unlink()
        except BaseException:
            target.unlink(missing_ok=True)
            raise
        if durable:
            folder = os.open(path.parent, os.O_RDONLY)
            os.fsync(folder)
            os.close(folder)
    except FileExistsError:
        raise InvalidInput(f"{path} exists already", f"name another file, or: mv {path} {path}.old") from None
    except OSError as error:
        raise StateTrouble(f"cannot write {path}: {error.strerror}") from None


def _read(path: Path) -> dict[str, bytes]:
    try:
        mode = path.stat().st_mode
        if stat.S_IMODE(mode) & 0o077:
            raise StateTrouble(
                f"the key file {path} can be read by others (mode {stat.S_IMODE(mode):04o})", f"chmod 600 {path}"
            )
        keys = _parsed(path.read_text(encoding="ascii"))
    except FileNotFoundError:
        raise StateTrouble(
            f"there is no key file {path}", "bring it back, or: vpnctl vault recover (new here: vpnctl init)"
        ) from None
    except OSError as error:
        raise StateTrouble(f"cannot read the key file {path}: {error.strerror}") from None
    except ValueError:
        keys = {}
    if not keys or any(len(key) != _KEY_BYTES for key in keys.values()):
        raise StateTrouble(
            f"the key file {path} is damaged",
            f"bring it back from a copy, or: mv {path} {path}.damaged && vpnctl vault recover",
        )
    return keys


def _parsed(text: str) -> dict[str, bytes]:
    """Return the keys by id. Raises ValueError."""
    lines = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    return {key_id: base64.b64decode(key, validate=True) for key_id, key in lines}


def _text(keys: dict[str, bytes]) -> str:
    return "# vpnctl vault keys; the last one seals\n" + "".join(
        f"{key_id} {base64.b64encode(key).decode()}\n" for key_id, key in keys.items()
    )


def _fresh_id(taken: dict[str, bytes]) -> str:
    while (key_id := "k" + secrets.token_hex(3)) in taken:
        continue
    return key_id


def _context(label: str, row_id: str) -> bytes:
    return label.encode() + b"\0" + uuid.UUID(row_id).bytes
