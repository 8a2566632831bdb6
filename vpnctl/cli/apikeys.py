"""`vpnctl apikey …`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

import typer

from vpnctl.cli import output
from vpnctl.cli.completion import complete_keys
from vpnctl.cli.front import current

commands = typer.Typer(
    add_completion=False, rich_markup_mode=None, no_args_is_help=True, help="Keys to the JSON API: add, list, revoke."
)
Name = Annotated[str, typer.Argument(metavar="NAME", help="What the key is called.")]


@dataclass(frozen=True)
class KeyView:
    """A key in a list. `state`: active, expired or revoked."""

    name: str
    state: str
    scopes: str
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    used_at: datetime | None


@commands.command("add")
def add(
    name: Name,
    scope: Annotated[
        list[str],
        typer.Option("--scope", help="What it may: read, people, secrets, sales, fleet, metrics. May be repeated."),
    ],
    days: Annotated[
        int | None, typer.Option("--days", min=1, max=3650, help="It ends after so many days; else never.")
    ] = None,
) -> int:
    """Make a key and print it: it is shown only now."""
    from vpnctl.actions.service import apikeys

    front = current()
    made = apikeys.add(front.app, name, [word for text in scope for word in text.split(",")], days)
    if front.json:
        body = {"changed": True, "pending": [], "name": made.row.name, "scopes": made.row.scopes}
        output.dump(body | {"expires_at": made.row.expires_at, "key": made.key.reveal()})
        return 0
    front.say(f"the key {made.row.name}, shown only now; it goes into the header `Authorization: Bearer KEY`:")
    sys.stdout.write(made.key.reveal() + "\n")
    return 0


@commands.command("list")
def list_(
    ended: Annotated[bool, typer.Option("--ended", help="Revoked and expired ones too.")] = False,
) -> int:
    """List the keys."""
    from vpnctl.store import models
    from vpnctl.store.serving_rows import ApiKey

    front = current()
    now = front.app.clock()
    with front.app.store.read() as tx:
        rows = tx.all(ApiKey, order=models.api_key.c.created_at)
    views = [KeyView(row.name, _state(row.revoked_at, row.expires_at, now), ", ".join(row.scopes), row.created_at,
                     row.created_by, row.expires_at, row.used_at) for row in rows]  # fmt: skip
    shown = [each for each in views if ended or each.state == "active"]
    if not shown:
        front.say("no keys; vpnctl apikey add NAME --scope read")
    return output.show_list(front, shown, ("name", "state", "scopes", "expires_at", "used_at"))


def _state(revoked: datetime | None, expires: datetime | None, now: datetime) -> str:
    if revoked is not None:
        return "revoked"
    return "expired" if expires is not None and expires <= now else "active"


@commands.command("revoke")
def revoke(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name.", autocompletion=complete_keys)],
) -> int:
    """End a key at once."""
    from vpnctl.actions.service import apikeys

    front = current()
    apikeys.revoke(front.app, name)
    return output.finish(front, [], f"the key {name} is revoked")
