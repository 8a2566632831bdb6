"""Where backups go after they were made, and which of them stay."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from vpnctl.actions.fleet.nodes import ssh_key
from vpnctl.actions.service import backups
from vpnctl.app import App
from vpnctl.errors import StateTrouble, VpnctlError
from vpnctl.remote import hook, sftp
from vpnctl.rules import grammar, retention
from vpnctl.store import sealed_file

_NAME = re.compile(r"vpnctl-([0-9]{8}T[0-9]{6}Z)\.vpnctl-backup")


@dataclass(frozen=True)
class Brought:
    """What became of a backup: where it is, what was removed for it, what went wrong with a target."""

    places: tuple[str, ...]
    removed: int
    troubles: tuple[str, ...]


def keep(app: App, made: backups.Backup) -> Brought:
    """Bring a backup to the other targets and remove what is too old, here and there.

    The last one that was opened and compared is never removed. A target that fails is named; the others go on.
    """
    folder = backups.folder(app.settings)
    places, troubles, removed = [str(folder)], [], 0
    for name, work in (("backup_sftp", _by_sftp), ("backup_command", _by_command)):
        if not getattr(app.settings, name):
            continue
        try:
            removed += work(app, folder / made.file)
            places.append(name)
        except VpnctlError as error:
            troubles.append(f"{name}: {error.what}")
    try:
        removed += _clear_folder(app, folder)
    except OSError as error:
        troubles.append(f"{folder}: {error.strerror}")
    return Brought(tuple(places), removed, tuple(troubles))


def old(app: App, names: Iterable[str]) -> list[str]:
    """Return the names of backups that do not stay; what is named otherwise is not ours to remove."""
    with app.store.read() as tx:
        verified = json.loads(tx.meta(backups.VERIFIED) or "{}").get("file")
    times = {name: _made_at(app, name) for name in names}
    ours = {name: at for name, at in times.items() if at is not None}
    stay = retention.kept(ours.values())
    return sorted(name for name, at in ours.items() if at not in stay and name != verified)


def _made_at(app: App, name: str) -> datetime | None:
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    return datetime.strptime(found[1], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).astimezone(app.settings.zone)


def _clear_folder(app: App, folder: Path) -> int:
    doomed = old(app, (path.name for path in folder.iterdir()))
    for name in doomed:
        (folder / name).unlink()
    return len(doomed)


def _by_sftp(app: App, file: Path) -> int:
    with sftp.opened(_place(app.settings.backup_sftp), ssh_key(app)) as there:
        there.put(file)
        doomed = old(app, there.names())
        for name in doomed:
            there.remove(name)
        return len(doomed)


def _place(setting: str) -> sftp.Place:
    where, fingerprint = setting.split()
    target, _, folder = where.partition("/")
    server = grammar.target(target)
    return sftp.Place(server.host, server.port, server.login, f"/{folder}", fingerprint)


def _by_command(app: App, file: Path) -> int:
    hook.run((app.settings.backup_command, str(file)), "backup_command")
    return 0


def is_ours(app: App, path: Path) -> bool:
    """Whether a backup was written by this service: its vault opens it."""
    try:
        with path.open("rb") as file:
            sealed_file.key_of(sealed_file.header_of(file), app.vault, None)
    except StateTrouble:
        return False
    return True


def listed(app: App) -> list[backups.Backup]:
    """Return the backups in the folder, newest first; what is no backup of ours is left out."""
    with app.store.read() as tx:
        checked = json.loads(tx.meta(backups.VERIFIED) or "{}")
    found = []
    for path in backups.folder(app.settings).glob(f"*{backups.SUFFIX}"):
        with contextlib.suppress(StateTrouble, OSError), path.open("rb") as file:
            header = sealed_file.header_of(file)
            created = datetime.fromisoformat(header["created_at"])
            when = datetime.fromisoformat(checked["verified_at"]) if checked.get("file") == path.name else None
            found.append(backups.Backup(path.name, created, path.stat().st_size, header["schema"], when))
    return sorted(found, key=lambda each: each.created_at, reverse=True)
