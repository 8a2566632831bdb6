"""YooKassa, REST v3 (yookassa.ru/developers/api). Its webhooks are not signed: the payment is always fetched."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from vpnctl.errors import InvalidInput
from vpnctl.payments.interface import (
    PAGES,
    Abilities,
    Bill,
    Callback,
    Checkout,
    MoneyStatus,
    Provider,
    ProviderRefused,
    ProviderSilent,
    Word,
    decoded,
    event,
    kept,
    text,
)
from vpnctl.rules import money
from vpnctl.rules.exchange import Exchange, HttpCall

WHO = "YooKassa"
NOT_FOUND = 404
REFUSALS = (400, 404)
_ID = re.compile(r"[0-9A-Za-z-]{1,64}")
_STATUS = {
    "pending": MoneyStatus.WAITING,
    "waiting_for_capture": MoneyStatus.WAITING,
    "succeeded": MoneyStatus.PAID,
    "canceled": MoneyStatus.FAILED,
}


class YooKassa(Provider):
    """See the module."""

    name = "yookassa"
    title = "YooKassa"
    supports = Abilities(currencies=frozenset({"RUB"}), refund=True, listing=True)

    @property
    def ready(self) -> bool:
        """It needs a shop and its key."""
        return bool(self.settings.yookassa_shop and self.settings.yookassa_key.reveal())

    def open(self, bill: Bill, exchange: Exchange) -> Checkout:
        """See `Provider.open`."""
        what = f"#{bill.number} {bill.title}"[:128]
        body: dict[str, Any] = {
            "amount": _amount(bill),
            "capture": True,
            "confirmation": {"type": "redirect", "return_url": bill.return_url},
            "description": what,
            "metadata": {"order_id": bill.id},
        }
        if self.settings.yookassa_receipt:
            body["receipt"] = self._receipt(bill, what)
        found = decoded(self._ask(exchange, "POST", "/payments", body, bill.id), WHO)
        where = found.get("confirmation")
        url = text(where.get("confirmation_url"), 2000) if isinstance(where, dict) else ""
        if not text(found.get("id")) or not url.startswith("https://"):
            raise ProviderSilent(f"{WHO}'s answer makes no sense")
        return Checkout(found["id"], url)

    def _receipt(self, bill: Bill, what: str) -> dict[str, Any]:
        email, _, rate = self.settings.yookassa_receipt.partition(" ")
        item = {"description": what, "quantity": "1.00", "amount": _amount(bill), "vat_code": int(rate)}
        item |= {"payment_mode": "full_payment", "payment_subject": "service"}
        return {"customer": {"email": email}, "items": [item]}

    def look(self, bill: Bill, exchange: Exchange) -> Word:
        """See `Provider.look`."""
        answer = self._ask(exchange, "GET", f"/payments/{bill.external_id}")
        if answer.status == NOT_FOUND:
            return Word(MoneyStatus.UNKNOWN, bill.external_id, bill.external_id)
        return _word(decoded(answer, WHO))

    def refund(self, bill: Bill, payment_id: str, exchange: Exchange) -> None:
        """See `Provider.refund`."""
        body = {"payment_id": payment_id, "amount": _amount(bill)}
        answer = self._ask(exchange, "POST", "/refunds", body, f"refund-{payment_id}")
        found = decoded(answer, WHO, REFUSALS)
        if found.get("status") == "succeeded" and found.get("payment_id") == payment_id:
            return
        if found.get("status") == "pending":
            raise ProviderSilent(f"{WHO} has not given it back yet")
        now = _word(decoded(self._ask(exchange, "GET", f"/payments/{payment_id}"), WHO))
        if now.refunded < bill.amount:
            raise ProviderRefused(f"{WHO} did not give it back")

    def listed(self, since: datetime, exchange: Exchange) -> Sequence[Word]:
        """See `Provider.listed`."""
        found: list[Word] = []
        begins = since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        query = {"created_at.gte": begins, "status": "succeeded", "limit": "100"}
        for _ in range(PAGES):
            page = decoded(self._ask(exchange, "GET", f"/payments?{urlencode(query)}"), WHO)
            rows, cursor = page.get("items"), text(page.get("next_cursor"))
            found += [_word(row) for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
            if not cursor or query.get("cursor") == cursor:
                return found
            query["cursor"] = cursor
        raise ProviderSilent(f"the list of {WHO} does not end")

    def heard(self, headers: Mapping[str, str], body: bytes) -> Callback:  # noqa: ARG002 - it signs nothing
        """See `Provider.heard`."""
        said = event(body)
        what = said.get("object")
        about = text(what.get("payment_id") or what.get("id")) if isinstance(what, dict) else ""
        if not _ID.fullmatch(about) or not text(said.get("event"), 64):
            raise InvalidInput("that is no event of YooKassa")
        return Callback(f"{said['event']} {about}", about)

    def _ask(self, exchange: Exchange, method: str, path: str, body: Any = None, once: str = "") -> Any:
        secret = f"{self.settings.yookassa_shop}:{self.settings.yookassa_key.reveal()}"
        headers = {"Authorization": "Basic " + base64.b64encode(secret.encode()).decode()}
        headers |= {"Content-Type": "application/json", "Idempotence-Key": once[:64]} if once else {}
        data = json.dumps(body).encode() if body is not None else None
        try:
            return exchange(HttpCall(method, self.settings.yookassa_api_url + path, headers, data))
        except OSError:
            raise ProviderSilent(f"{WHO} does not answer") from None


def _amount(bill: Bill) -> dict[str, str]:
    return {"value": money.decimal(bill.amount, bill.currency), "currency": bill.currency}


def _minor(found: Any) -> tuple[int | None, str | None]:
    if not isinstance(found, dict):
        return None, None
    currency = text(found.get("currency"), 3)
    return money.minor(text(found.get("value")), currency), currency or None


def _word(row: dict[str, Any]) -> Word:
    """Return what a payment's object says. Only a captured one that says `paid` too is money."""
    amount, currency = _minor(row.get("amount"))
    refunded, _ = _minor(row.get("refunded_amount"))
    status = _STATUS.get(text(row.get("status")), MoneyStatus.WAITING)
    if status is MoneyStatus.PAID and row.get("paid") is not True:
        status = MoneyStatus.WAITING
    if status is MoneyStatus.PAID and amount and refunded and refunded >= amount:
        status = MoneyStatus.REFUNDED
    about, key = row.get("metadata"), text(row.get("id"))
    order = text(about.get("order_id"), 36) if isinstance(about, dict) else ""
    raw = kept(row, "id", "status", "paid", "created_at", "captured_at", "test")
    return Word(status, key, key, order, amount, currency, refunded=refunded or 0, raw=raw)
