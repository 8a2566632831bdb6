"""What the value of each setting of payments must look like."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from vpnctl.errors import InvalidInput
from vpnctl.rules import grammar, money
from vpnctl.rules.secret import Secret


def _matching(pattern: str, expected: str) -> Callable[[str], str]:
    def check(text: str) -> str:
        if text and not re.fullmatch(pattern, text, re.ASCII):
            raise InvalidInput(expected)
        return text

    return check


def _secret(pattern: str, expected: str) -> Callable[[str], Secret]:
    """A refusal says what is expected, and never what was given."""
    check = _matching(pattern, expected)
    return lambda text: Secret(check(text))


def _pairs(text: str, between: str) -> dict[str, str]:
    """Return currency -> value of `CODE=value`, with something `between` them."""
    found: dict[str, str] = {}
    for part in filter(None, map(str.strip, re.split(between, text))):
        code, sign, value = part.partition("=")
        if not sign or not value.strip():
            raise InvalidInput("expected CODE=… for each currency")
        if money.currency(code.strip()) in found:
            raise InvalidInput(f"{code.strip()} is named twice")
        found[code.strip()] = value.strip()
    return found


def _instructions(text: str) -> tuple[tuple[str, str], ...]:
    return tuple((code, grammar.message(value, 500)) for code, value in _pairs(text, r"\|").items())


def _amounts(text: str) -> tuple[tuple[str, int], ...]:
    pairs = _pairs(text, r"[|,]").items()
    return tuple((code, grammar.whole(value, "amount in minor units", 1, money.MOST)) for code, value in pairs)


_TOKEN = r"[!-~]{8,200}"  # noqa: S105 - what one looks like
PAYMENTS: dict[str, Callable[[str], Any]] = {
    "telegram_provider_token": _secret(_TOKEN, "that is not a provider token, as @BotFather shows it"),
    "yookassa_shop": _matching(r"[0-9]{1,20}", "expected digits, as YooKassa shows them"),
    "yookassa_key": _secret(_TOKEN, "that is not a secret key of YooKassa"),
    "yookassa_receipt": _matching(
        r"[^\s@]{1,64}@[A-Za-z0-9.-]{3,100} (?:[1-9]|1[0-2])", "expected EMAIL VAT_CODE, such as shop@example.com 1"
    ),
    "yookassa_api_url": grammar.url,
    "cryptomus_merchant": _matching(r"[0-9A-Za-z-]{8,64}", "expected a merchant id, letters and digits"),
    "cryptomus_key": _secret(_TOKEN, "that is not a payment key"),
    "cryptomus_api_url": grammar.url,
    "stripe_key": _secret(r"(?:sk|rk)_[A-Za-z0-9_]{8,250}", "that is not a key of Stripe: sk_… or rk_…"),
    "stripe_webhook_key": _secret(r"whsec_[A-Za-z0-9_+/=]{8,250}", "that is not a signing secret of Stripe: whsec_…"),
    "stripe_api_url": grammar.url,
    "zarinpal_merchant": _secret(r"[0-9A-Za-z-]{36}", "that is not a merchant id of Zarinpal: 36 characters"),
    "zarinpal_api_url": grammar.url,
    "manual_payment": _instructions,
    "manual_accept_most": _amounts,
    "return_url": lambda text: grammar.url(text) if text else "",
}
