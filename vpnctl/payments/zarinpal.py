"""Zarinpal, payment gateway v4 (zarinpal.com/docs). A browser that comes back proves nothing: the payment is verified.

The amount that is verified is ours, in rials: what is paid otherwise is not taken.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs

from vpnctl.errors import InvalidInput
from vpnctl.payments.interface import (
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
    text,
)
from vpnctl.rules import money
from vpnctl.rules.exchange import Exchange, HttpCall

WHO, RIAL = "Zarinpal", "IRR"
PAID = (100, 101)
"""Verified now, and verified before: both are paid."""
OTHER_AMOUNT = -50
NOT_PAID = (-51, -54, -55)
"""Not paid, and no such payment: all other codes say nothing about it."""
REFUSALS = (400, 404, 422)
"""With which it says that there is no such payment, or none that was paid."""


class Zarinpal(Provider):
    """See the module."""

    name = "zarinpal"
    title = "Zarinpal"
    supports = Abilities(currencies=frozenset({RIAL}), listing=True)

    @property
    def ready(self) -> bool:
        """It needs a merchant."""
        return bool(self.settings.zarinpal_merchant.reveal())

    def open(self, bill: Bill, exchange: Exchange) -> Checkout:
        """See `Provider.open`."""
        body = {
            "amount": _rials(bill),
            "currency": RIAL,
            "description": f"#{bill.number} {bill.title}"[:255],
            "callback_url": bill.return_url,
            "metadata": {"order_id": bill.id},
        }
        data = self._ask(exchange, "request", body)
        authority = text(data.get("authority"), 64)
        if data.get("code") != PAID[0] or not authority.isalnum():
            raise ProviderRefused(f"{WHO} takes no such payment (code {_code(data)})", "check zarinpal_merchant")
        return Checkout(authority, f"{self.settings.zarinpal_api_url}/pg/StartPay/{authority}")

    def look(self, bill: Bill, exchange: Exchange) -> Word:
        """Verify, which is what takes the money. What was not paid yet is waited for as long as the order lasts."""
        body = {"amount": _rials(bill), "authority": bill.external_id}
        data = self._ask(exchange, "verify", body)
        code, key = data.get("code"), bill.external_id
        raw = {"code": _code(data), "authority": key}
        if code in PAID:
            reference = data.get("ref_id")
            raw |= {"ref_id": reference} if isinstance(reference, int) else {}
            return Word(MoneyStatus.PAID, key, key, bill.id, bill.amount, RIAL, raw=raw)
        if code == OTHER_AMOUNT:
            return Word(MoneyStatus.PAID, key, key, bill.id, None, RIAL, raw=raw)
        if code not in NOT_PAID:
            raise ProviderSilent(
                f"{WHO} does not say whether it was paid (code {_code(data)})", "check zarinpal_merchant"
            )
        over = bill.now > bill.expires_at
        return Word(MoneyStatus.FAILED if over else MoneyStatus.WAITING, key, key, bill.id, raw=raw)

    def listed(self, since: datetime, exchange: Exchange) -> Sequence[Word]:  # noqa: ARG002 - it lists the last hundred
        """Return what was paid and never verified: the last hundred, which is all that it lists."""
        rows = self._ask(exchange, "unVerified", {}).get("authorities")
        found = []
        for row in rows if isinstance(rows, list) else ():
            key, amount = (text(row.get("authority"), 64), row.get("amount")) if isinstance(row, dict) else ("", None)
            if key and isinstance(amount, int):
                minor = amount * 10 ** money.digits(RIAL)
                found.append(
                    Word(MoneyStatus.PAID, key, key, "", minor, RIAL, raw={"authority": key, "amount": amount})
                )
        return found

    def heard(self, headers: Mapping[str, str], body: bytes) -> Callback:  # noqa: ARG002 - a browser's visit has none
        """Return what a browser that came back says: `Authority=…&Status=…`."""
        said = parse_qs(body.decode("utf-8", "replace"))
        authority = said.get("Authority", [""])[0]
        if not authority.isalnum() or len(authority) > 64:  # noqa: PLR2004 - they have 36
            raise InvalidInput("that is no visit from Zarinpal")
        return Callback(f"{authority} {'OK' if said.get('Status') == ['OK'] else 'NOK'}", authority)

    def _ask(self, exchange: Exchange, what: str, body: dict[str, Any]) -> dict[str, Any]:
        """Return `data`; where it refuses, the code that it gives, as `data` too."""
        body = {"merchant_id": self.settings.zarinpal_merchant.reveal(), **body}
        url = f"{self.settings.zarinpal_api_url}/pg/v4/payment/{what}.json"
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        try:
            answer = exchange(HttpCall("POST", url, headers, json.dumps(body).encode()))
        except OSError:
            raise ProviderSilent(f"{WHO} does not answer") from None
        if answer.status in REFUSALS:
            answer = replace(answer, status=200)
        found = decoded(answer, WHO)
        parts = (found.get("data"), found.get("errors"))
        said: dict[str, Any] = next((part for part in parts if isinstance(part, dict) and part), {})
        return said


def _code(data: dict[str, Any]) -> int:
    code = data.get("code")
    return code if isinstance(code, int) else 0


def _rials(bill: Bill) -> int:
    """Return whole rials: it takes no parts of one."""
    unit: int = 10 ** money.digits(bill.currency)
    rials, rest = divmod(bill.amount, unit)
    if rest or bill.currency != RIAL:
        raise ProviderRefused(f"{WHO} takes whole rials", "give the plan a price in IRR without decimals")
    return rials
