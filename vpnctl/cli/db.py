"""`vpnctl db …`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vpnctl.cli import output
from vpnctl.cli.front import current

commands = typer.Typer(
    add_completion=False, rich_markup_mode=None, no_args_is_help=True, help="The database: upgrade, copy, current."
)


@commands.command("upgrade")
def upgrade() -> int:
    """Bring the schema up to date: all in one transaction, or nothing."""
    from vpnctl.errors import StateTrouble
    from vpnctl.store import upgrade as work

    front = current()
    path = front.settings.sqlite_path
    if path is not None and not path.exists():
        raise StateTrouble(f"there is no database {path}", "vpnctl init")
    before, after = work.upgrade(front.settings.database_url)
    return output.finish(
        front, [], f"schema {before or 'none'} -> {after}", changed=before != after, before=before, after=after
    )


@commands.command("copy")
def copy(target: Annotated[Path, typer.Argument(metavar="FILE", help="Where to; it must not exist.")]) -> int:
    """Copy the SQLite database while it is in use: whole, in one file, readable by you alone.

    The key file is not in it: keep that apart. PostgreSQL has pg_dump.
    """
    from vpnctl.errors import InvalidInput

    front = current()
    if front.settings.sqlite_path is None:
        raise InvalidInput("the database is PostgreSQL", "pg_dump, with the URL of database_url")
    output.write_new(target, b"")
    try:
        front.app.store.copy(target)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return output.finish(front, [], f"copied to {target}; its key file is {front.settings.key_file}", file=str(target))


@commands.command("current")
def show() -> int:
    """Print the schema of the database and the one that this vpnctl works with."""
    from vpnctl.store import models
    from vpnctl.store.engine import Store
    from vpnctl.store.file import must_be_there

    front = current()
    path = front.settings.sqlite_path
    if path is not None:
        must_be_there(path, create=False)
    store = Store(front.settings.database_url, check=False)
    found = store.schema()
    store.close()
    if front.json:
        output.dump({"database": found, "program": models.SCHEMA})
    else:
        typer.echo(f"database {found or 'empty'}, program {models.SCHEMA}")
    return 0
