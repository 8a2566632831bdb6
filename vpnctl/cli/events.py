"""`vpnctl event …`."""

from __future__ import annotations

from typing import Annotated

import typer

from vpnctl.cli import output
from vpnctl.cli.front import current

commands = typer.Typer(
    add_completion=False, rich_markup_mode=None, no_args_is_help=True, help="The audit: who changed what."
)


@commands.callback()
def _noun() -> None:
    """The audit: who changed what."""


@commands.command("list")
def list_(
    subject: Annotated[str, typer.Option("--subject", help="Only events whose subject contains this.")] = "",
    verb: Annotated[str, typer.Option("--verb", help="Only verbs that begin with this, such as peer.revoke.")] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, max=1_000_000, help="The newest so many.")] = 50,
) -> int:
    """List the newest events, oldest first."""
    from vpnctl.reports import audit

    front = current()
    with front.app.store.read() as tx:
        rows = audit.events(tx, subject=subject, verb=verb, limit=limit)
    if not rows:
        front.say("no such events; the newest of all: vpnctl event list")
    return output.show_list(front, rows, ("seq", "at", "actor", "verb", "subject", "before", "after"))
