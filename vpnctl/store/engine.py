"""Opening the database, and the two kinds of transactions: reading and writing.

SQLite: WAL, synchronous=FULL (a committed revocation survives power loss), foreign keys on, writers begin
IMMEDIATE (a read that turns into a write fails at once whatever the busy time-out). No network inside either.

PostgreSQL: writers take one advisory lock for their transaction, so that verbs are as serial as on SQLite
(docs/adr/0021). READ COMMITTED is what makes that right: each statement after the lock sees all that is committed.
Readers see one snapshot (REPEATABLE READ). Nobody waits longer than the time-outs below.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from vpnctl.errors import StateTrouble
from vpnctl.store import models
from vpnctl.store.connection import engine, sqlite_path, tell, translated, write_alone
from vpnctl.store.file import lock, must_be_there
from vpnctl.store.turns import Turns
from vpnctl.store.typed import Row, made

_READING = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}


class Tx:
    """One open transaction. Rows come as frozen row types or, for lists, as mappings."""

    def __init__(self, connection: sa.Connection) -> None:
        self.connection = connection
        self.journal: list[dict[str, Any]] = []
        """Events written in this transaction."""
        self.news = False

    def all(self, kind: type[Row], *where: Any, order: Any = None, limit: int | None = None) -> list[Row]:
        """Return the rows of `kind` that fulfil all of `where`."""
        query = sa.select(kind.table).where(*where)  # type: ignore[attr-defined]
        query = query if order is None else query.order_by(order)
        query = query if limit is None else query.limit(limit)
        return [made(kind, row) for row in self.connection.execute(query)]

    def one(self, kind: type[Row], *where: Any) -> Row | None:
        """Return the one row of `kind` that fulfils `where`, or None."""
        row = self.connection.execute(sa.select(kind.table).where(*where)).first()  # type: ignore[attr-defined]
        return None if row is None else made(kind, row)

    def insert(self, row: Any) -> None:
        """Insert a row."""
        self.insert_all([row])

    def insert_all(self, rows: list[Any]) -> None:
        """Insert rows of one kind."""
        if rows:
            self.connection.execute(sa.insert(rows[0].table), [vars(row) for row in rows])

    def update(self, kind: Any, *where: Any, **values: Any) -> int:
        """Update the rows of `kind` that fulfil `where`; return how many there were."""
        return self.connection.execute(sa.update(kind.table).where(*where).values(**values)).rowcount

    def execute(self, statement: Any, *parameters: Any) -> Any:
        """Execute a statement of SQLAlchemy Core."""
        return self.connection.execute(statement, *parameters)

    def wake(self) -> None:
        """Have those who wait for something hear of this transaction once it is committed; events do so anyway."""
        self.news = True

    def meta(self, name: str) -> str | None:
        """Return a value of the service itself."""
        found: str | None = self.execute(sa.select(models.meta.c.value).where(models.meta.c.name == name)).scalar()
        return found

    def set_meta(self, name: str, value: str) -> None:
        """Set a value of the service itself."""
        table = models.meta
        there = self.connection.execute(sa.update(table).where(table.c.name == name).values(value=value))
        if not there.rowcount:
            self.connection.execute(sa.insert(table).values(name=name, value=value))


class Store:
    """The database. Opening it checks the schema; while it is open no upgrade can run."""

    def __init__(self, url: str, *, check: bool = True, exclusive: bool = False) -> None:
        self.url = url
        self.path = sqlite_path(url)
        self._writer = Turns()
        self._lock: int | None = None
        self.journal: Callable[[list[dict[str, Any]]], None] | None = None
        """Told of the events of every transaction once it is committed."""
        self.engine = engine(url, self.path)
        if self.path is not None:
            must_be_there(self.path, create=not check)
            self._lock = lock(self.path, exclusive=exclusive)
        if check:
            self._check_schema()

    def _check_schema(self) -> None:
        found = self.schema()
        if found is None:
            raise StateTrouble("the database is empty", "vpnctl init")
        if not found.isdigit():
            raise StateTrouble("the database does not say which schema it has", "restore a backup of it")
        if found != models.SCHEMA:
            older = found < models.SCHEMA
            raise StateTrouble(
                f"the database has schema {found}, this vpnctl works with {models.SCHEMA}",
                "vpnctl db upgrade" if older else "install the vpnctl that wrote it, or a newer one",
            )

    def schema(self) -> str | None:
        """Return the schema version found, or None in an empty database."""
        with self.read() as tx:
            if not sa.inspect(tx.connection).has_table("alembic_version"):
                return None
            found = tx.connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
            return None if found is None else str(found)

    @contextmanager
    def read(self) -> Iterator[Tx]:
        """Open a transaction that sees one state of the database and changes nothing."""
        options = _READING if self.path is None else {}
        with translated(self.path), self.engine.connect().execution_options(**options) as connection:
            try:
                yield Tx(connection)
            finally:
                connection.rollback()

    @contextmanager
    def write(self) -> Iterator[Tx]:
        """Open a transaction that commits at the end, or rolls back when an exception passes."""
        with (
            self._writer,
            translated(self.path),
            self.engine.connect().execution_options(**self._writing()) as connection,
            connection.begin(),
        ):
            write_alone(connection, self.path)
            tx = Tx(connection)
            yield tx
            if tx.news or tx.journal:
                tell(connection, self.path)
        if self.journal is not None and tx.journal:
            with contextlib.suppress(OSError, ValueError):  # what is committed stays, also where nobody can log it
                self.journal(tx.journal)

    def _writing(self) -> dict[str, Any]:
        return {"vpnctl_write": True} if self.path is not None else {"isolation_level": "READ COMMITTED"}

    @contextmanager
    def joint(self) -> Iterator[JointStore]:
        """Open one writing transaction as a store of its own: what is done on it is committed as one, or not at all."""
        with self.write() as tx:
            yield JointStore(self, tx)

    @contextmanager
    def rehearsal(self) -> Iterator[RehearsalStore]:
        """Open a writing transaction that is always rolled back, as a store of its own."""
        with (
            self._writer,
            translated(self.path),
            self.engine.connect().execution_options(**self._writing()) as connection,
        ):
            transaction = connection.begin()
            try:
                write_alone(connection, self.path)
                yield RehearsalStore(self, connection)
            finally:
                transaction.rollback()

    def copy(self, target: Path) -> None:
        """Copy a SQLite database into an empty file, as it is at one moment, whoever uses it meanwhile."""
        with translated(self.path), self.engine.connect() as connection:
            connection.rollback()
            raw = connection.connection.driver_connection
            if raw is None:
                raise StateTrouble("no connection to the database", "vpnctl doctor")
            raw.execute("VACUUM INTO ?", (str(target),))

    @contextmanager
    def exclusive(self, name: str) -> Iterator[bool]:
        """Hold the database's lock `name` in a context; its value says whether it was free.

        It ends with the session: also when the process is killed or cut off. On SQLite, whose users share a machine,
        it is always free: a lock of that machine does.
        """
        if self.path is not None:
            yield True
            return
        key = int.from_bytes(blake2b(f"vpnctl {name}".encode(), digest_size=8).digest(), "big", signed=True)
        with translated(None), self.engine.connect() as connection:
            free = bool(connection.exec_driver_sql(f"SELECT pg_try_advisory_lock({key})").scalar())
            connection.commit()
            try:
                yield free
            finally:
                with suppress(sa.exc.DBAPIError):  # a session that was cut off holds nothing any more
                    connection.exec_driver_sql(f"SELECT pg_advisory_unlock({key})" if free else "SELECT 1")
                    connection.commit()

    def close(self) -> None:
        """Close all connections and let upgrades run."""
        self.engine.dispose()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


class RehearsalStore(Store):
    """A store whose transactions are all one, never committed."""

    def __init__(self, store: Store, connection: sa.Connection) -> None:
        self.url, self.path, self.engine = store.url, store.path, store.engine
        self._tx = Tx(connection)
        self._lock = self.journal = None

    @contextmanager
    def read(self) -> Iterator[Tx]:
        """See `Store.read`."""
        yield self._tx

    write = read


class JointStore(Store):
    """A store whose transactions are parts of one. A part that fails is undone; the others stay."""

    def __init__(self, store: Store, tx: Tx) -> None:
        self.url, self.path, self.engine = store.url, store.path, store.engine
        self._tx = tx
        self._lock = self.journal = None

    @contextmanager
    def read(self) -> Iterator[Tx]:
        """See `Store.read`."""
        yield self._tx

    @contextmanager
    def write(self) -> Iterator[Tx]:
        """See `Store.write`."""
        noted = len(self._tx.journal)
        try:
            with translated(self.path), self._tx.connection.begin_nested():
                yield self._tx
        except BaseException:
            del self._tx.journal[noted:]
            raise
