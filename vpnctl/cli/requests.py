"""`vpnctl request …`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from vpnctl.cli import output
from vpnctl.cli.carry import Told, carry_out
from vpnctl.cli.front import current

if TYPE_CHECKING:
    from vpnctl.actions.outcome import Done, Settled
    from vpnctl.actions.sales.paid import Paid
    from vpnctl.actions.talk.requests import Decided
    from vpnctl.app import App

commands = typer.Typer(
    add_completion=False, rich_markup_mode=None, no_args_is_help=True, help="What people asked the bot for."
)
Id = Annotated[str, typer.Argument(metavar="ID", help="The request's id, or how it begins.")]


@commands.command("list")
def list_(
    everything: Annotated[bool, typer.Option("--all", help="Also what was decided.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=100_000, help="At most this many.")] = 50,
) -> int:
    """List requests that wait for a decision."""
    from vpnctl.reports import asking

    front = current()
    with front.app.store.read() as tx:
        rows = asking.requests(tx, decided=everything, limit=limit)
    if not rows:
        front.say("nothing was asked for")
    return output.show_list(front, rows, ("id", "user", "kind", "details", "state", "created_at"))


@commands.command("grant")
def grant(
    request: Id,
    paid: Annotated[
        str | None, typer.Option("--paid", metavar="REF", help="A plan that was paid: the payment's reference.")
    ] = None,
    currency: Annotated[str | None, typer.Option("--currency", metavar="CODE", help="Of the payment.")] = None,
) -> int:
    """Grant a request. A config that comes of it is sent by Telegram once its peer was read on the node."""
    from vpnctl.actions.sales.paid import payment

    return _decide(request, granted=True, paid=payment(paid, currency))


@commands.command("refuse")
def refuse(
    request: Id, reason: Annotated[str, typer.Option("--reason", help="What the person is told of why.")] = ""
) -> int:
    """Refuse a request; the person is told."""
    from vpnctl.rules import grammar

    return _decide(request, granted=False, reason=grammar.message(reason, 200) if reason else "")


def _decide(start: str, *, granted: bool, paid: Paid | None = None, reason: str = "") -> int:
    from vpnctl.actions.talk import requests

    def decide(app: App) -> Done[Decided]:
        with app.store.joint() as store, store.read() as tx:
            inside = replace(app, store=store)
            return requests.decide(inside, requests.named(tx, start).id, granted=granted, paid=paid, reason=reason)

    def tell(done: Done[Decided], _: Sequence[Settled]) -> Told:
        row, user = done.made.request, done.made.user
        word = "granted" if granted else "refused"
        what = f"{word}: {row.kind} of {user.name}; messages go out with: vpnctl jobs run notify"
        return Told(what, {"request": row.id, "user": user.name})

    return carry_out(decide, tell)
