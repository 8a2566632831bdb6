"""What Telegram asks before a payment, and tells of one: the first is answered at once, the second booked."""

from __future__ import annotations

from collections.abc import Sequence

from bot.incoming import Asking
from vpnctl.actions.sales import booking, orders
from vpnctl.actions.sales.orders import Barrier, Intent
from vpnctl.app import App
from vpnctl.rules.orders import Charge
from vpnctl.rules.translation import mark
from vpnctl.store import lockdown
from vpnctl.texts.words import LOCALES, Words

_WHY = {
    Barrier.GONE: mark("This order is not open any more. Begin anew with /plans; nothing was charged."),
    Barrier.CLOSED: mark("You cannot buy access now. Ask an admin; nothing was charged."),
    Barrier.FULL: mark("All servers are full at the moment. Try again later; nothing was charged."),
}
_LOCKED = mark("The bot is closed for now. Nothing was charged.")


def checkout_gate(app: App, question: Asking) -> str:
    """Return why they may not pay, in their language; empty where they may. It reads only, and at once."""
    words = Words(question.language if question.language in LOCALES else "en", persian=app.settings.persian)
    with app.store.read() as tx:
        if lockdown.current(tx, app.clock()):
            return words.say(_LOCKED)
        intent = Intent(question.order_id, question.payer, question.amount, question.currency)
        found = orders.barrier(tx, app, intent)
    return words.say(_WHY[found]) if found else ""


def received(app: App, charge: Charge, payer: int) -> Sequence[str]:
    """Book money that Telegram says came or went back; return the nodes that have to hear of it."""
    return booking.by_telegram(app, charge, str(payer)).node_ids
