"""The whole database in one SQLite file, whatever it lives in: taken while it is in use, put back into either kind."""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from vpnctl.errors import InvalidInput, StateTrouble
from vpnctl.store import models
from vpnctl.store.connection import sqlite_path
from vpnctl.store.engine import Store, Tx
from vpnctl.store.upgrade import upgrade

_CHUNK = 1000


def take(store: Store, target: Path) -> None:
    """Copy the database into a new SQLite file, as it is at one moment."""
    if store.path is not None:
        target.touch(mode=0o600)
        store.copy(target)
        return
    url = f"sqlite:///{target}"
    upgrade(url)
    copy = Store(url)
    try:
        with store.read() as source, copy.write() as into:
            _fill(source, into)
    finally:
        copy.close()


def put(snapshot: Path, url: str) -> None:
    """Make a snapshot of this schema the database at `url`, where there is none yet: all of it or nothing.

    InvalidInput where there is one: it is never written over.
    """
    refuse_existing(url)
    path = sqlite_path(url)
    if path is not None:
        _place(snapshot, path)
        return
    upgrade(url)
    source, into = Store(f"sqlite:///{snapshot}"), Store(url)
    try:
        with source.read() as there, into.write() as here:
            _fill(there, here)
            _continue_sequences(here)
    finally:
        source.close()
        into.close()


def _place(snapshot: Path, path: Path) -> None:
    """Put a file where there is none, whole and durably; it may come from another disk."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    half = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        handle = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with snapshot.open("rb") as source, os.fdopen(handle, "wb") as out:
            shutil.copyfileobj(source, out, 1 << 20)
            out.flush()
            os.fsync(out.fileno())
        try:
            os.link(half, path)  # which refuses an existing one
        except FileExistsError:
            raise _there(path) from None
    finally:
        half.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def _there(path: Path) -> InvalidInput:
    files = [str(each) for each in _files(path) if each.exists()]
    aside = f"{path.parent / 'given-up'}"
    hint = f"if it is given up: mkdir -p {aside} && mv {' '.join(files)} {aside}"
    return InvalidInput(f"there is a database already: {path}", hint)


def _files(path: Path) -> list[Path]:
    """The database and what SQLite keeps beside it: a log that is left over would be replayed over another database."""
    return [path, *(path.with_name(path.name + end) for end in ("-wal", "-shm", "-journal"))]


def refuse_existing(url: str) -> None:
    """Raise InvalidInput where there is a database already, or what is left of one."""
    path = sqlite_path(url)
    if path is not None:
        if any(each.exists() for each in _files(path)):
            raise _there(path)
        return
    store = Store(url, check=False)
    try:
        with store.read() as tx:
            used = sa.inspect(tx.connection).has_table("meta")
            if used and tx.execute(sa.select(models.meta.c.name).limit(1)).first() is not None:
                raise InvalidInput("that PostgreSQL database is in use", "name an empty one in database_url")
    finally:
        store.close()


def check(store: Store) -> None:
    """Raise StateTrouble unless SQLite finds nothing wrong with a snapshot."""
    with store.read() as tx:
        sound = tx.connection.exec_driver_sql("PRAGMA integrity_check(1)").scalar()
        broken = tx.connection.exec_driver_sql("PRAGMA foreign_key_check").first()
    if sound != "ok" or broken is not None:
        raise StateTrouble("the database in this backup is damaged", "take another backup")


def _fill(source: Tx, into: Tx) -> None:
    """Copy all rows. What refers to a row of the same table is set when all of them are there."""
    for table in models.metadata.sorted_tables:
        own = [each.parent.name for each in table.foreign_keys if each.column.table is table]
        later: list[dict[str, Any]] = []
        rows: list[dict[str, Any]] = []
        for found in source.execute(sa.select(table)).mappings():
            row = dict(found)
            later += (
                [{"row_id": row["id"], **{f"to_{name}": row[name] for name in own}}] if any(row[n] for n in own) else []
            )
            rows.append(row | dict.fromkeys(own))
            if len(rows) == _CHUNK:
                into.execute(sa.insert(table), rows)
                rows = []
        if rows:
            into.execute(sa.insert(table), rows)
        if later:
            values: Any = {name: sa.bindparam(f"to_{name}") for name in own}
            into.execute(sa.update(table).where(table.c.id == sa.bindparam("row_id")).values(values), later)


def _continue_sequences(into: Tx) -> None:
    """What PostgreSQL counts by itself goes on behind what was put there."""
    for table in models.metadata.sorted_tables:
        for column in table.primary_key:
            if column.autoincrement is True:
                name = f"pg_get_serial_sequence('{table.name}', '{column.name}')"
                last = into.execute(sa.select(sa.func.max(column))).scalar() or 0
                into.connection.exec_driver_sql(f"SELECT setval({name}, {last + 1}, false)")
