"""Buying: plan, method, pinned price, waiting, paid. Nothing of it is kept in memory, so /start goes on with it."""

from __future__ import annotations

from typing import Any

from bot.context import Context, rows
from bot.handlers import home
from bot.screen import Screen, grid, lines
from vpnctl.actions.sales import deciding, methods, orders, plans, proofs
from vpnctl.actions.sales.proofs import KnownProof, Receipt
from vpnctl.errors import Conflict, NotFound
from vpnctl.rules.orders import OPEN, SERVED, OrderState
from vpnctl.rules.translation import mark
from vpnctl.store.buying_rows import Order
from vpnctl.texts.letter import Choice
from vpnctl.texts.words import Said, Words

STATES = {
    OrderState.DRAFT: mark("Order {number}: {plan}, {price}. The way to pay comes here in a moment."),
    OrderState.AWAITING: mark("Order {number}: {plan}, {price}. It waits for your payment."),
    OrderState.PROOF: mark("Order {number}: {plan}, {price}. An admin looks at your receipt; you are told here."),
    OrderState.PAID: mark("Order {number}: {plan}, {price}. It is paid."),
    OrderState.FULFILLED: mark("Order {number}: {plan}, {price}. It is paid."),
    OrderState.CANCELLED: mark("Order {number}: {plan}, {price}. It was given up."),
    OrderState.EXPIRED: mark("Order {number}: {plan}, {price}. Its time is over. Money that still comes is honoured."),
    OrderState.REFUSED: mark("Order {number}: {plan}, {price}. It was refused."),
    OrderState.REVIEW: mark("Order {number}: {plan}, {price}. An admin looks at your payment; you are told here."),
    OrderState.REFUNDING: mark("Order {number}: {plan}, {price}. Your money is on its way back."),
    OrderState.REFUNDED: mark("Order {number}: {plan}, {price}. Your money was given back."),
}
"""An order's state, as its owner reads it."""


def choices(ctx: Context, plan: str) -> list[Choice]:
    """Return a button for each way to pay a plan."""
    words = ctx.labels
    return [
        Choice(
            words.say(
                "{method} · {price}", method=words.say(each.title), price=words.money(each.amount, each.currency)
            ),
            "buy",
            {"name": plan, "provider": each.provider, "currency": each.currency},
        )
        for each in methods.of(ctx.tx, ctx.app.settings, plan)
    ]


def begins(ctx: Context, plan: str) -> str:
    """Say when the plan would begin and end, and what becomes of what runs."""
    terms = plans.for_sale(ctx.tx, plan)
    would = methods.foresee(ctx.tx, ctx.app, ctx.person, terms)
    zone, row = ctx.app.settings.zone, would.subscription
    values: dict[str, Any] = {
        "start": ctx.words.moment(row.starts_at, zone),
        "end": ctx.words.moment(row.ends_at, zone),
    }
    if would.kept is not None:
        rest = ctx.words.many("{n} day", "{n} days", would.kept.days)
        return ctx.words.say(
            "It begins at once and lasts until {end}; then {rest} of what you have follow.", rest=rest, **values
        )
    if row.starts_at > ctx.now:
        return ctx.words.say("It follows what you have: from {start} until {end}.", **values)
    return ctx.words.say("It begins at once and lasts until {end}.", **values)


def buy(ctx: Context) -> Screen:
    """Order a plan. The way to pay it follows as a message, as soon as the provider has made one."""
    wish = ctx.args
    return _order(ctx, orders.place(ctx.app, ctx.person, wish["name"], wish["currency"], wish["provider"]))


def show(ctx: Context) -> Screen:
    """Show an order of theirs."""
    return _order(ctx, _mine(ctx))


def _order(ctx: Context, row: Order) -> Screen:
    text = said(ctx.words, row)
    args: dict[str, Any] = {"order": row.id}
    there: list[Choice] = []
    if row.state in OPEN:
        pay = [Choice(ctx.labels.say("💳 Pay"), url=row.url)] if row.url else []
        asked = [ctx.choice("✅ I have paid", "have_paid", **args)] if row.url else []
        there = [*pay, *asked, ctx.choice("✖️ Give up", "give_up", **args)]
    elif row.state in SERVED:
        there = [ctx.choice("📱 Connect a device", "configs")]
    else:
        there = [ctx.choice("💳 Plans", "plans")]
    return Screen(text, rows(*grid(there, 2), ctx.back()))


def said(words: Words, row: Order) -> Said:
    """Return an order in a line."""
    values = {"number": row.number, "plan": row.called(words.locale)}
    return words.say(STATES[OrderState(row.state)], price=words.money(row.amount, row.currency), **values)


def have_paid(ctx: Context) -> Screen:
    """Have the provider asked now."""
    row = _mine(ctx)
    if row.state in (*SERVED, OrderState.REVIEW, OrderState.PROOF):
        return _order(ctx, row)
    orders.ask_now(ctx.tx, ctx.app, row)
    text = ctx.words.say("The payment service is asked now. As soon as it has your money, you are told here.")
    again = ctx.choice("🔄 Ask again", "have_paid", order=row.id)
    return Screen(
        lines(said(ctx.words, row), text), rows([again, ctx.choice("🧾 Order", "order_", order=row.id)], ctx.back())
    )


def give_up(ctx: Context) -> Screen:
    """Give an order up."""
    row = _mine(ctx)
    if row.state in OPEN:
        row = orders.cancel(ctx.app, row.number)
    return _order(ctx, row)


def _mine(ctx: Context) -> Order:
    row = methods.order_of(ctx.tx, ctx.person, ctx.args["order"])
    if row is None:
        raise NotFound("that order is not there any more")
    return row


def receipt(ctx: Context) -> Screen:
    """Keep a receipt that was sent."""
    file = ctx.args
    return _kept(ctx, Receipt(file["kind"], file["file_id"], file["file_key"]))


def reference(ctx: Context) -> Screen:
    """Ask whether a text is the number of a receipt, where one is waited for; else show the menu."""
    row = proofs.expecting(ctx.tx, ctx.app, ctx.person, closed=False)
    if row is None or not 4 <= len(ctx.text) <= 100:  # noqa: PLR2004 - a word is none, and a letter neither
        return home.show(ctx)
    text = ctx.words.say(
        "Is <b>{text}</b> the number of your payment for order {number}?", text=ctx.text, number=row.number
    )
    return Screen(text, rows([ctx.choice("✅ Yes", "referred", text=ctx.text)], ctx.back()))


def referred(ctx: Context) -> Screen:
    """Keep the number of a payment as its receipt."""
    return _kept(ctx, Receipt("text", reference=ctx.args["text"]))


def _kept(ctx: Context, what: Receipt) -> Screen:
    try:
        row, first = proofs.submit(ctx.app, ctx.person, what)
    except KnownProof:
        text = ctx.words.say("That receipt was sent before, for another order. Write to an admin.")
        return Screen(text, rows(ctx.contact(), ctx.back()))
    except NotFound:
        return home.show(ctx)
    return _order(ctx, row) if first else Screen()


def accept(ctx: Context) -> Screen:
    """Accept a receipt: by button, or by `/accept 17`."""
    number = _number(ctx)
    ctx.act("payment.accept", number=number)
    done = ctx.carry_out(deciding.accept(ctx.app, number))
    return _decided(ctx, done.order, mark("✅ Order {number} is accepted: {user} has access."))


def refusing(ctx: Context) -> Screen:
    """Ask why a receipt is refused."""
    number = ctx.args["number"]
    why = [Choice(ctx.labels.say(text), "refused", {"number": number, "reason": key}) for key, text in REASONS.items()]
    return Screen(
        ctx.words.say("Why is order {number} refused? The person reads it.", number=number), (*grid(why, 1), ctx.back())
    )


REASONS = {
    "none": mark("The money did not come"),
    "amount": mark("Another amount came"),
    "unreadable": mark("The receipt cannot be read"),
    "": mark("Without a reason"),
}
"""Why receipts are refused, by button; `/reject 17 text` says anything."""


def refused(ctx: Context) -> Screen:
    """Refuse a receipt: by button, or by `/reject 17 reason`."""
    number = _number(ctx)
    key = ctx.args.get("reason", ctx.text.partition(" ")[2].strip())
    reason = deciding.reason_for(ctx.tx, number, REASONS.get(key, key) if key else "")
    ctx.act("payment.reject", takes=True, number=number)
    return _decided(ctx, deciding.reject(ctx.app, number, reason), mark("⛔ Order {number} of {user} is refused."))


def _decided(ctx: Context, row: Order | None, form: str) -> Screen:
    if row is None:
        raise Conflict("that is settled already")
    user = orders.owner(ctx.tx, row)
    next_ = ctx.choice("📌 To do", "pending")
    return Screen(ctx.words.say(form, number=row.number, user=user.name), rows([next_], ctx.back()))


def _number(ctx: Context) -> int:
    word = str(ctx.args.get("number", ctx.text.partition(" ")[0]))
    if not (word.isascii() and word.isdigit() and len(word) < 10):  # noqa: PLR2004 - digits of an order's number
        raise NotFound("which order? /accept 17")
    return int(word)


def pay_support(ctx: Context) -> Screen:
    """Say how money comes back; Telegram wants every shop to have it."""
    mine = orders.open_orders(ctx.tx, ctx.person)
    there = [ctx.choice("🧾 Order", "order_", order=mine[0].id)] if mine else []
    text = ctx.words.say(
        "Money that did not bring you access, or that you want back: write to an admin and name the order's number. "
        "Telegram's own support cannot help with purchases here."
    )
    return Screen(text, rows(there, ctx.contact(), ctx.back()))
