"""A folder on another machine, by SFTP with vpnctl's own key; what is written there is read again."""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vpnctl.errors import Distrust, NodeFailed
from vpnctl.remote import ssh
from vpnctl.remote.channel import paramiko_late
from vpnctl.remote.shell import CONNECT_SECONDS, Login
from vpnctl.rules.grammar import clean
from vpnctl.rules.secret import Secret

_PART = 1 << 18
_HALF = re.compile(r"\.vpnctl-[0-9TZ]+\.vpnctl-backup\.part")
_SECONDS = 60.0
"""For one answer of the server."""


@dataclass(frozen=True)
class Place:
    """Where: a server, the fingerprint of its host key, a folder there."""

    host: str
    port: int
    user: str
    folder: str
    fingerprint: str


class Folder:
    """An open folder."""

    def __init__(self, client: Any, place: Place) -> None:
        self._client, self._place = client, place

    def names(self) -> list[str]:
        """Return the names of what is in it."""
        return sorted(self._client.listdir(self._place.folder))

    def put(self, file: Path) -> None:
        """Write a file there under its own name. NodeFailed where what is read back is not what was sent."""
        target, half = f"{self._place.folder}/{file.name}", f"{self._place.folder}/.{file.name}.part"
        digest = hashlib.sha256(file.read_bytes()).digest()
        self._client.put(str(file), half, confirm=True)
        self._client.chmod(half, 0o600)
        with self._client.open(half, "rb") as there:
            there.prefetch(file.stat().st_size)
            again = hashlib.sha256()
            while part := there.read(_PART):
                again.update(part)
        if again.digest() != digest:
            raise NodeFailed(f"{self._place.host} did not keep {file.name} as it was sent", "look at its disk")
        self._client.posix_rename(half, target)
        for left in self.names():  # what a line that broke has left
            if _HALF.fullmatch(left):
                self.remove(left)

    def remove(self, name: str) -> None:
        """Remove a file there."""
        self._client.remove(f"{self._place.folder}/{name}")


@contextlib.contextmanager
def opened(place: Place, key: Secret) -> Iterator[Folder]:
    """Open a folder. Raises Unreachable, Distrust for another host key, NodeFailed for what the server refuses."""
    login = Login("backup host", "ssh", place.host, place.port, place.user, "", known=False)
    shown = ssh.scan(login)
    if ssh.fingerprint(shown) != place.fingerprint:
        raise Distrust(
            f"{place.host} shows host key {ssh.fingerprint(shown)}, not {place.fingerprint}; nothing was sent",
            "compare it with that server's console, then set backup_sftp",
        )
    login = Login("backup host", "ssh", place.host, place.port, place.user, shown, known=False)
    transport = ssh._open(login, None, pinned=True)
    try:
        ssh.authenticate(transport, login, ssh.load_key(key), CONNECT_SECONDS)
        client: Any = transport.open_sftp_client()
        if client is None:
            raise NodeFailed(f"{place.host} opens no SFTP channel", "let the user use SFTP there")
        client.get_channel().settimeout(_SECONDS)
        yield Folder(client, place)
    except (OSError, EOFError, paramiko_late().SSHException) as error:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise NodeFailed(
            f"{place.host}: {place.folder}: {clean(str(why), 100)}", "look at the folder of backup_sftp there"
        ) from None
    finally:
        transport.close()
