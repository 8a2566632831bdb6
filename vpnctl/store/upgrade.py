"""Bringing the schema up to date: the whole upgrade in one transaction, foreign keys off outside of it, checked after.

Killed anywhere, the database is as before; run again, it completes.
"""

from __future__ import annotations

from pathlib import Path

from vpnctl.errors import Busy, StateTrouble
from vpnctl.store import models
from vpnctl.store.connection import LOCK_KEY
from vpnctl.store.engine import Store


def upgrade(url: str) -> tuple[str | None, str]:
    """Upgrade the database to this version's schema; return (schema before, schema after).

    Raises Busy while another vpnctl uses the database, StateTrouble when it is newer than this program.
    """
    store = Store(url, check=False)
    found = store.schema()
    store.close()
    if found == models.SCHEMA:
        return found, found
    store = Store(url, check=False, exclusive=True)
    try:
        before = store.schema()
        if (before is None and _has_tables(store)) or (before is not None and not before.isdigit()):
            raise StateTrouble("the database does not say which schema it has", "restore a backup of it")
        if before is not None and before > models.SCHEMA:
            raise StateTrouble(
                f"the database has schema {before}, newer than {models.SCHEMA}", "install a newer vpnctl"
            )
        if before != models.SCHEMA:
            _run(store)
        return before, models.SCHEMA
    finally:
        store.close()


def _has_tables(store: Store) -> bool:
    import sqlalchemy as sa

    with store.read() as tx:
        return sa.inspect(tx.connection).has_table("meta")


def _run(store: Store) -> None:
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(Path(__file__).parent / "migrations"))

    def steps(revision: object, _context: object) -> object:
        return scripts._upgrade_revs("head", revision)  # type: ignore[arg-type]

    sqlite = store.path is not None
    if sqlite:
        _prepare(store)
    with store.write() as tx:
        if sqlite:
            # Only takes effect outside a transaction: with foreign keys on, a table that is moved loses its children.
            if tx.connection.exec_driver_sql("PRAGMA foreign_keys").scalar():
                raise StateTrouble("foreign keys are on during an upgrade", "this is a bug")
        # Every other session holds it shared (connection._share_postgres); this one's own share is no obstacle.
        elif not tx.connection.exec_driver_sql(f"SELECT pg_try_advisory_xact_lock({LOCK_KEY})").scalar():
            raise Busy("another vpnctl is using the database", "wait for it, stop the bot and timers, try again")
        with EnvironmentContext(Config(), scripts, fn=steps) as environment:
            environment.configure(
                connection=tx.connection, target_metadata=models.metadata, transactional_ddl=True, render_as_batch=True
            )
            environment.run_migrations()
        if sqlite:
            broken = tx.connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
            if broken:
                raise StateTrouble(
                    f"the upgrade would break {len(broken)} references; nothing was changed", "report this"
                )
    if sqlite:
        _forget_old_pages(store)


def _forget_old_pages(store: Store) -> None:
    """Leave nothing of what an upgrade took out in the log or in free pages of the file."""
    with store.engine.connect() as connection:
        connection.rollback()
        raw = connection.connection.driver_connection
        if raw is not None:
            raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            raw.execute("VACUUM")
            raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _prepare(store: Store) -> None:
    """Make sure the file is private and in WAL mode, and that later connections have foreign keys off."""
    from sqlalchemy import event

    with store.engine.connect() as connection:
        connection.rollback()
        raw = connection.connection.driver_connection
        if raw is None:
            raise StateTrouble("no connection to the database")
        raw.execute("PRAGMA journal_mode=WAL")
    store.engine.dispose()
    event.listen(store.engine, "connect", lambda connection, _record: connection.execute("PRAGMA foreign_keys=OFF"))
