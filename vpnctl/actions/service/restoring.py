"""The way back from a backup: the database is put where there is none; nodes that were changed since are left alone.

Whoever was revoked since the backup stands in it as alive, and whoever was added since does not. Nothing of that
is made true by itself: `reviewing` reads each node, lists both, and somebody decides. Every node's token moves with the
first settle, so that a second controller with the same backup is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa

from vpnctl.actions.fleet import clock
from vpnctl.actions.service import backups
from vpnctl.app import SSH_KEY, App
from vpnctl.errors import InvalidInput, StateTrouble
from vpnctl.rules.secret import Secret
from vpnctl.settings import Settings, written
from vpnctl.store import events, models, restored, snapshot
from vpnctl.store.engine import Tx
from vpnctl.store.rows import Node
from vpnctl.store.vault import NIL, Vault, write_private

HELD = "it waited when the backup was made, and may have been sent since"
_OURS = ("state_dir:", "database_url:", "key_file:")
"""Lines of a config file that belong to the machine, not to the service."""


@dataclass(frozen=True)
class Restored:
    """What came back. `held` messages waited then; they are not sent. `config` was written, None: there was one."""

    created_at: datetime
    nodes: int
    users: int
    devices: int
    held: int
    config: Path | None


def restore(settings: Settings, path: Path, recovery_key: Secret | None, config: Path, actor: str) -> Restored:
    """Make a backup the service of this machine: database, key file, settings. Refuses where there is a database.

    Killed anywhere, run it again: the database comes last. StateTrouble for a file that does not open; nothing is
    changed then.
    """
    snapshot.refuse_existing(settings.database_url)
    fresh = not settings.key_file.exists()
    if fresh and recovery_key is None:
        raise InvalidInput("a backup is opened with its recovery key", "give --recovery-key")
    settings.state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    keys = None if fresh else Vault(settings.key_file)
    with backups.opened(settings, path, keys, recovery_key) as found:
        counted = _fence(found.app, found.created_at, actor)
        if fresh:
            write_private(settings.key_file, found.app.vault.file_text().reveal())
        else:
            _check_key_file(found.app, settings)
        wrote = _write_config(config, found.settings, settings)
        copy = found.app.store.path
        found.app.store.close()
        assert copy is not None  # noqa: S101 - a backup is opened as SQLite
        snapshot.put(copy, settings.database_url)
    return Restored(found.created_at, *counted, config=config if wrote else None)


def _check_key_file(app: App, settings: Settings) -> None:
    with app.store.read() as tx:
        sealed = tx.meta(SSH_KEY) or ""
    try:
        Vault(settings.key_file).open("meta.ssh_key", NIL, sealed)
    except StateTrouble:
        raise StateTrouble(
            f"the key file {settings.key_file} belongs to another database; nothing was changed",
            f"if that one is given up: mv {settings.key_file} {settings.key_file}.old",
        ) from None


def _fence(app: App, created: datetime, actor: str) -> tuple[int, int, int, int]:
    """Write into the copy that it was restored; return how many nodes, users, devices and held messages it has."""
    now, living = app.clock(), models.node.c.retired_at.is_(None)
    waiting = (models.notice.c.sent_at.is_(None), models.notice.c.failed_at.is_(None))
    with app.store.write() as tx:
        nodes = tx.update(Node, living, fence_at=now, leased_until=None, leased_by=None)
        held = tx.execute(sa.update(models.notice).where(*waiting).values(failed_at=now, error=HELD)).rowcount
        restored.begin(tx, created)
        after = {"created_at": created.isoformat(), "held": held}
        events.record(
            tx, events.Stamp(now, actor, app.run_id), "backup.restore", ("service", NIL, "service"), None, after
        )
        users = _count(tx, models.user, models.user.c.removed_at.is_(None))
        devices = _count(tx, models.peer, models.peer.c.revoked_at.is_(None))
    clock.note(app)  # whoever restores has looked at the clock; what was noted is of another machine or time
    return nodes, users, devices, held


def _count(tx: Tx, table: sa.Table, where: sa.ColumnElement[bool]) -> int:
    return tx.execute(sa.select(sa.func.count()).select_from(table).where(where)).scalar() or 0


def _write_config(config: Path, text: str, settings: Settings) -> bool:
    """Write the settings of the backup where there is no config file; what says where things are is this machine's."""
    if config.exists():
        return False
    here = [line for line in written(settings).splitlines() if line.startswith(_OURS)]
    lines = [*here, *(line for line in text.splitlines() if not line.startswith(_OURS))]
    write_private(config, "".join(f"{line}\n" for line in lines))
    return True
