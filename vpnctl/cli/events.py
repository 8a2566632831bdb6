"""`vpnctl event …`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from vpnctl.cli import output
from vpnctl.cli.front import current
from vpnctl.rules.grammar import clean

if TYPE_CHECKING:
    from vpnctl.actions.outcome import Done, Settled
    from vpnctl.app import App

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


@commands.command("undo")
def undo(
    run: Annotated[str, typer.Argument(metavar="RUN", help="The id of a run; its first 8 characters will do.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")] = False,
) -> int:
    """Take back what one command did: suspended, let in, granted, extended, moved. The audit keeps both.

    What was overtaken since (changed again, paid for, connected at its new place) stays, and is named (exit 5).
    """
    from vpnctl.actions.service import undo as work
    from vpnctl.cli.carry import Told, carry_out
    from vpnctl.errors import worst

    front = current()
    if not dry_run:
        front.confirm(f"Take back what the run {clean(run)} did?")
    found: list[work.Undone] = []

    def verb(app: App) -> Done[work.Undone]:
        done = work.undo(app, run)
        found[:] = [done.made]
        return done

    def tell(done: Done[work.Undone], _: Sequence[Settled]) -> Told:
        made = done.made
        what = f"taken back: {output.count(len(made.taken_back), 'change')} of {made.run[:8]}"
        return Told(what, {"undone": made.taken_back, "not_done": made.not_done}, bool(made.taken_back), saved=what)

    def foretell(done: Done[work.Undone]) -> None:
        for each in done.made.taken_back:
            front.say(f"would be taken back: {each}")

    code = carry_out(verb, tell, dry_run=dry_run, foretell=foretell)
    left = found[0].not_done if found else ()
    if not front.json:
        for each in left:
            front.say(f"stays: {each.name}: {clean(each.why)}")
    return worst((code, 5 if left else 0))
