"""Cryptomus, and Heleket, which has the same API (doc.cryptomus.com). Its MD5 signs little: invoices are fetched."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from vpnctl.payments.interface import (
    PAGES,
    Abilities,
    Bill,
    Callback,
    Checkout,
    Forged,
    MoneyStatus,
    Provider,
    ProviderSilent,
    Word,
    decoded,
    event,
    kept,
    text,
)
from vpnctl.rules import money
from vpnctl.rules.exchange import Exchange, HttpCall
from vpnctl.rules.translation import mark

WHO = "Cryptomus"
_STATUS = {
    "paid": MoneyStatus.PAID,
    "paid_over": MoneyStatus.PAID,
    "wrong_amount": MoneyStatus.PAID,
    "fail": MoneyStatus.FAILED,
    "cancel": MoneyStatus.FAILED,
    "system_fail": MoneyStatus.FAILED,
    "refund_paid": MoneyStatus.REFUNDED,
}
"""What is not named is waited for: `confirm_check` is no money yet, `wrong_amount_waiting` may still grow."""
_SIGN = re.compile(rb',?\s*"sign"\s*:\s*"[0-9a-f]{32}"')
_NOT_FOUND = (404, 422)


class Cryptomus(Provider):
    """See the module."""

    name = "cryptomus"
    title = mark("Crypto")
    supports = Abilities(listing=True, signed=True)

    @property
    def ready(self) -> bool:
        """It needs a merchant and its payment key."""
        return bool(self.settings.cryptomus_merchant and self.settings.cryptomus_key.reveal())

    def takes(self, currency: str) -> bool:
        """Anything but Stars: it converts."""
        return currency != "XTR"

    def open(self, bill: Bill, exchange: Exchange) -> Checkout:
        """See `Provider.open`. It returns the same invoice for the same order."""
        seconds = int((bill.expires_at - bill.now).total_seconds())
        body = {
            "amount": money.decimal(bill.amount, bill.currency),
            "currency": bill.currency,
            "order_id": bill.id,
            "url_return": bill.return_url,
            "url_success": bill.return_url,
            "lifetime": min(max(seconds, 300), 43200),
            "is_payment_multiple": True,
        }
        if self.settings.web_url:  # it calls where each invoice says, and nowhere else
            body["url_callback"] = f"{self.settings.web_url}/payments/{self.name}"
        found = self._ask(exchange, "/payment", body).get("result")
        made = found if isinstance(found, dict) else {}
        url = text(made.get("url"), 2000)
        if not text(made.get("uuid")) or not url.startswith("https://"):
            raise ProviderSilent(f"{WHO}'s answer makes no sense")
        return Checkout(made["uuid"], url)

    def look(self, bill: Bill, exchange: Exchange) -> Word:
        """See `Provider.look`."""
        found = self._ask(exchange, "/payment/info", {"uuid": bill.external_id}, _NOT_FOUND).get("result")
        if not isinstance(found, dict):
            return Word(MoneyStatus.UNKNOWN, bill.external_id, bill.external_id)
        return _word(found)

    def listed(self, since: datetime, exchange: Exchange) -> Sequence[Word]:
        """See `Provider.listed`."""
        found: list[Word] = []
        body = {"date_from": since.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")}
        cursor = seen = ""
        for _ in range(PAGES):
            page = self._ask(exchange, f"/payment/list{'?cursor=' + cursor if cursor else ''}", body).get("result")
            rows = page.get("items") if isinstance(page, dict) else None
            found += [_word(row) for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
            seen, paging = cursor, page.get("paginate") if isinstance(page, dict) else None
            cursor = text(paging.get("nextCursor")) if isinstance(paging, dict) else ""
            if not cursor or cursor == seen or not re.fullmatch(r"[A-Za-z0-9_=-]{1,200}", cursor):
                return [each for each in found if each.status in (MoneyStatus.PAID, MoneyStatus.REFUNDED)]
        raise ProviderSilent(f"the list of {WHO} does not end")

    def heard(self, headers: Mapping[str, str], body: bytes) -> Callback:  # noqa: ARG002 - the sign is in the body
        """See `Provider.heard`. The sign is over the body without it, as PHP writes JSON: `/` escaped, letters not."""
        said = event(body)
        sign, about = text(said.pop("sign", "")), text(said.get("uuid"))
        written = json.dumps(said, ensure_ascii=False, separators=(",", ":")).replace("/", "\\/").encode()
        good = [self._sign(bare) for bare in (_SIGN.sub(b"", body), written)]
        if not any(hmac.compare_digest(each.encode(), sign.encode()) for each in good):
            raise Forged("the signature is not Cryptomus'")
        if not re.fullmatch(r"[0-9A-Za-z-]{1,64}", about):
            raise Forged("an event about nothing")
        return Callback(f"{about} {text(said.get('status'), 40)} {text(said.get('txid'), 100)}".strip(), about)

    def _sign(self, body: bytes) -> str:
        both = base64.b64encode(body) + self.settings.cryptomus_key.reveal().encode()
        return hashlib.md5(both, usedforsecurity=False).hexdigest()  # Cryptomus' way

    def _ask(self, exchange: Exchange, path: str, body: dict[str, Any], refusals: Sequence[int] = ()) -> dict[str, Any]:
        data = json.dumps(body).encode()
        headers = {"Content-Type": "application/json", "merchant": self.settings.cryptomus_merchant}
        headers["sign"] = self._sign(data)
        try:
            answer = exchange(HttpCall("POST", self.settings.cryptomus_api_url + path, headers, data))
        except OSError:
            raise ProviderSilent(f"{WHO} does not answer") from None
        found: dict[str, Any] = decoded(answer, WHO, refusals)
        return found


def _word(row: dict[str, Any]) -> Word:
    """Return what an invoice says. What came is told in coins: it is brought back into the price's currency."""
    state, key = text(row.get("payment_status") or row.get("status"), 40), text(row.get("uuid"))
    currency = text(row.get("currency"), 3)
    amount = money.minor(text(row.get("amount")), currency)
    if state in ("wrong_amount", "paid_over") and amount is not None:
        amount = _part(amount, row.get("payment_amount"), row.get("payer_amount"), over=state == "paid_over")
    raw = kept(row, "uuid", "amount", "payment_amount", "payer_amount", "payer_currency", "txid", "is_final")
    raw["status"] = state
    status = _STATUS.get(state, MoneyStatus.WAITING)
    back = (amount or 0) if status is MoneyStatus.REFUNDED else 0
    return Word(status, key, key, text(row.get("order_id"), 36), amount, currency or None, refunded=back, raw=raw)


def _part(amount: int, came: Any, wanted: Any, *, over: bool) -> int:
    """Return the share of the price that came. It is never told as exact, whatever the rounding."""
    try:
        share = int(Decimal(str(came)) / Decimal(str(wanted)) * amount)
    except (InvalidOperation, ZeroDivisionError, OverflowError, ValueError):
        share = amount + 1 if over else 0
    return max(share, amount + 1) if over else min(share, amount - 1)
