"""Telegram Stars: what Telegram wants digital goods to be sold for (core.telegram.org/bots/payments-stars).

A payment is named by its charge id: `successful_payment` brings it, and so does the list of the bot's transactions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from vpnctl.payments.botapi import BotApi, link
from vpnctl.payments.interface import (
    Abilities,
    Bill,
    Checkout,
    MoneyStatus,
    Provider,
    ProviderRefused,
    ProviderSilent,
    Word,
    kept,
    text,
)
from vpnctl.rules.exchange import Exchange

STARS = "XTR"
PAGE = 100
"""Transactions a request."""
LONGEST = timedelta(days=2)
"""Longer than an order waits: what was paid for one is not older than this before its end."""


class Stars(Provider):
    """See the module."""

    name = "stars"
    title = "Telegram Stars"
    supports = Abilities(currencies=frozenset({STARS}), refund=True, listing=True)

    @property
    def ready(self) -> bool:
        """They need the bot, and nothing else."""
        return self.settings.pay_stars and bool(self.settings.bot_token.reveal())

    def open(self, bill: Bill, exchange: Exchange) -> Checkout:
        """Have a link made; the invoice carries the order's id. Whoever opens it is asked about before they pay."""
        return link(self.settings, bill, exchange, token="")

    def look(self, bill: Bill, exchange: Exchange) -> Word:
        """Look for the order among the bot's transactions since it was made."""
        words = [each for each in self.listed(bill.expires_at - LONGEST, exchange) if each.order_id == bill.id]
        back = next((each for each in words if each.status is MoneyStatus.REFUNDED), None)
        return back or next(iter(words), Word(MoneyStatus.WAITING, "", bill.external_id, bill.id))

    def refund(self, bill: Bill, payment_id: str, exchange: Exchange) -> None:
        """See `Provider.refund`. Telegram wants to know whose payment it is."""
        if not bill.payer.isdigit():
            raise ProviderRefused("whose payment it is is not known", "Telegram gives Stars back to a known account")
        body = {"user_id": int(bill.payer), "telegram_payment_charge_id": payment_id}
        answer = BotApi(self.settings, exchange).call("refundStarPayment", body, accepted="CHARGE_ALREADY_REFUNDED")
        if answer is None:
            raise ProviderRefused("Telegram refused to give the Stars back")

    def listed(self, since: datetime, exchange: Exchange) -> Sequence[Word]:
        """See `Provider.listed`. Telegram lists the oldest first, so it is read from its end."""
        api, back, found = BotApi(self.settings, exchange), set[str](), list[Word]()
        end, fresh = _length(api), True
        while end > 0 and fresh:
            start = max(0, end - PAGE)
            rows = _page(api, start, end - start)
            fresh = any(_when(row) >= since for row in rows)
            for row in (each for each in rows if _when(each) >= since):
                if isinstance(row.get("receiver"), dict):
                    back.add(text(row.get("id")))
                elif (word := _word(row)) is not None:
                    found.append(word)
            end = start
        return [_refunded(each) if each.external_id in back else each for each in found]


def _page(api: BotApi, offset: int, limit: int) -> list[dict[str, Any]]:
    page = api.call("getStarTransactions", {"offset": offset, "limit": limit})
    rows = page.get("transactions") if isinstance(page, dict) else None
    if not isinstance(rows, list):
        raise ProviderSilent("Telegram's answer makes no sense")
    return [row for row in rows if isinstance(row, dict)]


def _length(api: BotApi) -> int:
    """Return how many transactions there are: nothing says so, but from that offset on there are none."""
    high = 1
    while _page(api, high - 1, 1):
        high *= 2
    low = high // 2
    while low < high - 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _page(api, middle - 1, 1) else (low, middle)
    return low


def _refunded(word: Word) -> Word:
    return replace(word, status=MoneyStatus.REFUNDED, refunded=word.amount or 0)


def _when(row: dict[str, Any]) -> datetime:
    date = row.get("date")
    return datetime.fromtimestamp(date if isinstance(date, int) and 0 <= date < 2**36 else 0, UTC)


def _word(row: dict[str, Any]) -> Word | None:
    """Return what a transaction says, None where it is no payment of an invoice."""
    source = row.get("source")
    if not isinstance(source, dict) or not isinstance(row.get("amount"), int) or not text(row.get("id")):
        return None
    who = source.get("user")
    payer = str(who["id"]) if isinstance(who, dict) and isinstance(who.get("id"), int) else ""
    order = text(source.get("invoice_payload"), 128)
    raw = kept(row, "id", "amount", "date")
    return Word(MoneyStatus.PAID, row["id"], order, order, row["amount"], STARS, payer, raw=raw)
