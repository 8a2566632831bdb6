"""Connections to either database: how each is opened, what its transactions begin with, what its errors mean."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event as sa_event
from sqlalchemy import exc

from vpnctl.errors import Busy, Conflict, StateTrouble, adding
from vpnctl.store.file import on_read_only_disk, read_only_url
from vpnctl.store.trouble import first_line, trouble
from vpnctl.store.turns import begin_writing

BUSY_SECONDS = 30


LOCK_KEY = 0x76706E63
"""Of PostgreSQL's advisory lock against upgrades: "vpnc"."""


_WRITER_KEY = 0x76706E77
"""Of PostgreSQL's advisory lock of the one writer: "vpnw"."""


CHANNEL = "vpnctl"
"""Of PostgreSQL's NOTIFY: something was committed that others wait for."""


STATEMENT_SECONDS = 300
"""No statement of ours takes that long; what does is stuck."""


def sqlite_path(url: str) -> Path | None:
    """Return the database file of a SQLite URL, or None."""
    return Path(url.removeprefix("sqlite:///")) if url.startswith("sqlite:///") else None


_POSTGRES = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "options": f"-c lock_timeout={BUSY_SECONDS}s -c statement_timeout={STATEMENT_SECONDS}s"
    f" -c idle_in_transaction_session_timeout={STATEMENT_SECONDS}s",
}
"""A session that hangs inside a transaction is ended by the server: it would keep all other writers out."""


def engine(url: str, path: Path | None) -> sa.Engine:
    if path is None:
        try:
            engine = sa.create_engine(url, hide_parameters=True, connect_args=_POSTGRES, pool_pre_ping=True)
        except (exc.ArgumentError, ValueError):
            raise StateTrouble("database_url is not a URL", "postgresql+psycopg://USER@HOST/NAME") from None
        except ModuleNotFoundError:
            raise StateTrouble("PostgreSQL needs its driver", adding("psycopg[binary]>=3.2")) from None
        sa_event.listen(engine, "connect", _share_postgres)
        return engine
    engine = sa.create_engine(
        read_only_url(path) if on_read_only_disk(path) else url,
        hide_parameters=True,
        connect_args={"timeout": BUSY_SECONDS, "isolation_level": None, "check_same_thread": False},
    )
    sa_event.listen(engine, "connect", _prepare_sqlite)
    sa_event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    for pragma in ("foreign_keys=ON", "synchronous=FULL", "trusted_schema=OFF"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: sa.Connection) -> None:
    if connection.get_execution_options().get("vpnctl_write"):
        begin_writing(connection.connection.dbapi_connection, BUSY_SECONDS)
    else:
        connection.exec_driver_sql("BEGIN")


def write_alone(connection: sa.Connection, path: Path | None) -> None:
    """Wait on PostgreSQL until no other transaction writes, at most as long as on SQLite; held until this one ends."""
    if path is None:
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITER_KEY})")


def tell(connection: sa.Connection, path: Path | None) -> None:
    """Have PostgreSQL tell who listens, once this transaction is committed; see `store.listening`."""
    if path is None:
        connection.exec_driver_sql(f"NOTIFY {CHANNEL}")


def _share_postgres(connection: Any, _record: Any) -> None:
    """Every session holds a shared advisory lock; an upgrade takes the exclusive one."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT pg_try_advisory_lock_shared({LOCK_KEY})")
        granted = cursor.fetchone()[0]
    connection.commit()
    if not granted:
        raise Busy("the database is being upgraded", "try again in a minute")


@contextmanager
def translated(path: Path | None) -> Iterator[None]:
    """Turn the database's errors into ours; parameters never appear in them."""
    try:
        yield
    except exc.IntegrityError as error:
        raise Conflict(
            f"it conflicts with something that exists ({first_line(error.orig)})", "list what exists and try again"
        ) from None
    except exc.DBAPIError as error:
        raise trouble(error.orig, path) from None
    except sqlite3.DatabaseError as error:
        raise trouble(error, path) from None
    except exc.TimeoutError:
        raise Busy("too many database connections are in use", "try again") from None
