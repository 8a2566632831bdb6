"""`vpnctl order …`."""

from __future__ import annotations

from typing import Annotated

import typer

from vpnctl.cli import output
from vpnctl.cli.completion import complete_order_states, complete_users
from vpnctl.cli.front import current

commands = typer.Typer(
    add_completion=False, rich_markup_mode=None, no_args_is_help=True, help="What people are about to buy, or bought."
)
Number = Annotated[int, typer.Argument(metavar="NUMBER", min=1, max=2**31 - 1, help="The order's number.")]
COLUMNS = ("number", "user", "plan", "price", "provider", "state", "created_at", "expires_at", "reason")


@commands.command("list")
def list_(
    user: Annotated[
        str | None, typer.Option("--user", help="Only of this person.", autocompletion=complete_users)
    ] = None,
    state: Annotated[
        list[str] | None,
        typer.Option(
            "--state",
            help="Only in this state: draft, awaiting, proof, paid, fulfilled, cancelled, expired, refused, review, "
            "refunding, refunded.",
            autocompletion=complete_order_states,
        ),
    ] = None,
    open_only: Annotated[bool, typer.Option("--open", help="Only those that wait for money or for a word.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=0, max=1_000_000, help="At most this many; 0 for all.")] = 200,
) -> int:
    """List orders, the newest first."""
    from vpnctl.errors import InvalidInput
    from vpnctl.reports import books
    from vpnctl.rules.grammar import clean
    from vpnctl.rules.orders import OrderState

    front = current()
    known = [str(each) for each in OrderState]
    for each in state or []:
        if each not in known:
            raise InvalidInput(f"'{clean(each)}' is not a state", f"one of: {', '.join(known)}")
    with front.app.store.read() as tx:
        if user is not None:
            from vpnctl.store import find

            find.user(tx, user)
        wanted = books.BookFilter(user=user, states=tuple(state or ()), open_only=open_only)
        rows = books.orders(tx, wanted, limit=limit)
    if not rows:
        front.say("no orders" if not (user or state or open_only) else "none of these; all: vpnctl order list")
    return output.show_list(front, rows, COLUMNS)


@commands.command("show")
def show(number: Number) -> int:
    """Show one order."""
    from vpnctl.actions.sales import orders
    from vpnctl.reports import books

    front = current()
    with front.app.store.read() as tx:
        orders.by_number(tx, number)
        return output.show_one(front, books.orders(tx, number=number)[0])


@commands.command("cancel")
def cancel(number: Number) -> int:
    """Give up an order that waits. Money that comes for it all the same is honoured."""
    from vpnctl.actions.sales import orders

    front = current()
    row = orders.cancel(front.app, number)
    return output.finish(front, [], f"order {row.number} is cancelled", order=row.number, state=row.state)
