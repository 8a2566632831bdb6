"""`vpnctl payment …`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from vpnctl.cli import output
from vpnctl.cli.carry import Told, carry_out
from vpnctl.cli.completion import complete_payment_states, complete_providers, complete_users
from vpnctl.cli.front import current

if TYPE_CHECKING:
    from vpnctl.actions.outcome import Settled
    from vpnctl.actions.sales.booking import Booked

commands = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Money that came: accept, refuse, give back.",
)
Number = Annotated[int, typer.Argument(metavar="ORDER", min=1, max=2**31 - 1, help="The order's number.")]
Id = Annotated[str, typer.Argument(metavar="PAYMENT", help="The payment's id, or how it begins.")]
COLUMNS = ("id", "order", "user", "provider", "price", "state", "note", "created_at")


@commands.command("list")
def list_(
    user: Annotated[
        str | None, typer.Option("--user", help="Only of this person.", autocompletion=complete_users)
    ] = None,
    state: Annotated[
        list[str] | None,
        typer.Option(
            "--state",
            help="Only in this state: booked, review, orphan, failed, refunding, refunded.",
            autocompletion=complete_payment_states,
        ),
    ] = None,
    days: Annotated[
        int | None, typer.Option("--days", metavar="N", min=1, max=3660, help="Only of the last N days.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=0, max=1_000_000, help="At most this many; 0 for all.")] = 200,
) -> int:
    """List payments, the newest first. What needs a word: --state review --state orphan."""
    from vpnctl.errors import InvalidInput
    from vpnctl.reports import books
    from vpnctl.rules.grammar import clean
    from vpnctl.rules.orders import PaymentState

    front = current()
    known = [str(each) for each in PaymentState]
    for each in state or []:
        if each not in known:
            raise InvalidInput(f"'{clean(each)}' is not a state", f"one of: {', '.join(known)}")
    since = front.app.clock() - timedelta(days=days) if days else None
    with front.app.store.read() as tx:
        if user is not None:
            from vpnctl.store import find

            find.user(tx, user)
        rows = books.payments(tx, books.BookFilter(user=user, states=tuple(state or ()), since=since), limit=limit)
    if not rows:
        front.say("no payments" if not (user or state or days) else "none of these; all: vpnctl payment list")
    return output.show_list(front, rows, COLUMNS)


@commands.command("show")
def show(payment: Id) -> int:
    """Show one payment."""
    from vpnctl.actions.sales import refunds
    from vpnctl.reports import books

    front = current()
    with front.app.store.read() as tx:
        row = refunds.named(tx, payment)
        return output.show_one(front, books.payment(tx, row.id))


@commands.command("accept")
def accept(
    number: Number,
    payment: Annotated[
        str,
        typer.Option("--payment", metavar="ID", help="Take this payment for it, which named no order, or another."),
    ] = "",
) -> int:
    """Serve an order that was paid: its receipt is good, or its money is in review. The person gets access."""
    from vpnctl.actions.sales import deciding

    def tell(done: Booked, _: Sequence[Settled]) -> Told:
        what = f"order {number} is paid; access is given"
        return Told(what, {"order": number, "payment": done.payment.id if done.payment else None}, saved=what)

    return carry_out(lambda app: deciding.accept(app, number, payment), tell)


@commands.command("reject")
def reject(
    number: Number,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="The person reads it.")] = "",
) -> int:
    """Refuse a receipt, or an order in review. The person is told. Money that came is given back by `refund`."""
    from vpnctl.actions.sales import deciding
    from vpnctl.rules import grammar

    front = current()
    row = deciding.reject(front.app, number, grammar.free_text(reason, "reason") if reason else "")
    return output.finish(front, [], f"order {row.number} is refused", order=row.number, state=row.state)


@commands.command("refund")
def refund(
    payment: Id,
    by_hand: Annotated[
        bool, typer.Option("--by-hand", help="It was given back already, on the provider's page or by a transfer.")
    ] = False,
) -> int:
    """Give a payment back in whole. The period that it bought ends now; periods behind it move forward."""
    from vpnctl.actions.sales import refunds

    front = current()
    front.confirm(f"Give payment {payment} back, and end the access that it bought?")

    def tell(done: Booked, _: Sequence[Settled]) -> Told:
        what = f"payment {payment} is given back"
        return Told(what, {"payment": done.payment.id if done.payment else None}, saved=what)

    return carry_out(lambda app: refunds.refund(app, payment, by_hand=by_hand), tell)


@commands.command("reconcile")
def reconcile(
    provider: Annotated[
        list[str] | None,
        typer.Option(
            "--provider",
            metavar="NAME",
            help="Only this one; else all that keep a list.",
            autocompletion=complete_providers,
        ),
    ] = None,
    days: Annotated[int, typer.Option("--days", metavar="N", min=1, max=365, help="How far back.")] = 7,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what differs.")] = False,
) -> int:
    """Compare our books with each provider's own list: book what is missing here, name what is missing there."""
    from vpnctl.actions.fleet.settle import settle
    from vpnctl.actions.sales import reconciling
    from vpnctl.errors import DRIFT, PENDING

    front = current()
    found = reconciling.reconcile(front.app, provider or [], timedelta(days=days), dry_run=dry_run)
    settled = settle(front.app, found.node_ids) if found.node_ids else []
    for line in (*found.unasked, *found.failed):
        front.say(f"note: {line}")
    if not found.rows:
        front.say(f"the books agree with {', '.join(found.asked) or 'nobody: no provider keeps a list'}")
    code = output.show_list(front, found.rows, ("provider", "what", "order", "user", "price", "external_id"))
    worst = [each.code for each in settled if each.code]
    worst += [PENDING] if found.failed else []
    return max([code, *worst, DRIFT if found.rows and dry_run else 0])
