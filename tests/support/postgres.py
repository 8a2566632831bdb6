"""A PostgreSQL server of our own, from Debian's package, on a socket in a temporary folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

_BINARIES = Path("/usr/lib/postgresql")


class NotHere(Exception):
    """This machine cannot run the server."""


@contextmanager
def server(*, durable: bool = False) -> Iterator[str]:
    """Yield a URL with `{name}` in the place of the database's name; `durable` syncs each commit, as in production."""
    from tests.lab import host

    if not _BINARIES.is_dir() and os.geteuid() == 0:
        host.install()
    found = sorted(_BINARIES.glob("*/bin/initdb")) if _BINARIES.is_dir() else []
    if not found or os.geteuid() != 0:
        raise NotHere("they need root and Debian's package postgresql")
    bin_dir = found[-1].parent
    home = Path("/tmp") / f"vpnctl-pg-{os.getpid()}-{uuid.uuid4().hex[:6]}"
    home.mkdir(mode=0o700)
    shutil.chown(home, "postgres", "postgres")
    as_postgres = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]

    def quietly(*argv: object) -> None:
        subprocess.run([*as_postgres, *map(str, argv)], check=True, stdout=subprocess.DEVNULL, cwd="/")

    quietly(bin_dir / "initdb", "-D", home / "data", "-A", "trust", "-U", "postgres")
    options = f"-c listen_addresses='' -c unix_socket_directories={home} -c fsync={'on' if durable else 'off'}"
    control = (bin_dir / "pg_ctl", "-D", home / "data", "-w", "-l", home / "log")
    quietly(*control, "-o", options, "start")
    try:
        yield f"postgresql+psycopg://postgres@/{{name}}?host={home}"
    finally:
        quietly(*control, "-m", "immediate", "stop")
        shutil.rmtree(home)


def database(base: str, template: str = "template1") -> str:
    """Create a database on that server, empty or like another one that nobody is connected to; return its URL."""
    name = f"t{uuid.uuid4().hex[:12]}"
    admin = sa.create_engine(base.format(name="postgres"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name} TEMPLATE {template}")
    admin.dispose()
    return base.format(name=name)
