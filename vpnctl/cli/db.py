"""`vpnctl db …`."""

from __future__ import annotations

import typer

from vpnctl.cli import output
from vpnctl.cli.front import current

commands = typer.Typer(
    add_completion=False, rich_markup_mode=None, no_args_is_help=True, help="The database: upgrade, current."
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
