"""Amounts of money: whole minor units of a currency, and how many of them make one. Pure.

Source: ISO 4217, list one (currencies without and with three decimals); XTR are Telegram's Stars, which have no parts.
"""

from __future__ import annotations

import re

from vpnctl.errors import InvalidInput
from vpnctl.rules.grammar import clean

MOST = 10**12
"""Minor units: no price is higher."""

_NONE = frozenset("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF XTR".split())  # noqa: SIM905
_THREE = frozenset("BHD IQD JOD KWD LYD OMR TND".split())  # noqa: SIM905


_AMOUNT = re.compile(r"([0-9]{1,15})(?:\.([0-9]{1,18}))?")


def digits(currency: str) -> int:
    """Return how many decimals the currency has."""
    return 0 if currency in _NONE else 3 if currency in _THREE else 2


def currency(code: str) -> str:
    """Return a currency's code: three capital letters, of ISO 4217 or XTR (Telegram's Stars)."""
    if not (code.isascii() and code.isalpha() and code.isupper() and len(code) == 3):  # noqa: PLR2004 - ISO 4217, and XTR
        raise InvalidInput(f"'{clean(code)}' is not a currency", "three capital letters, such as EUR; Stars: XTR")
    return code


def decimal(amount: int, currency: str) -> str:
    """Return minor units as providers write amounts: `4.99`, `250`. Exact, whatever the amount."""
    places = digits(currency)
    whole, part = divmod(amount, 10**places)
    return f"{whole}.{part:0{places}d}" if places else str(whole)


def minor(text: str, currency: str) -> int | None:
    """Return the minor units that a provider's amount means; None where it is none, or finer than they are."""
    found = _AMOUNT.fullmatch(text.strip()) if isinstance(text, str) else None
    if found is None:
        return None
    whole, part, places = found[1], (found[2] or "").rstrip("0"), digits(currency)
    return int(whole) * 10**places + int(part.ljust(places, "0") or 0) if len(part) <= places else None


def major(amount: int, currency: str) -> float:
    """Return minor units in major ones."""
    return amount / float(10 ** digits(currency))


def written(amount: int, currency: str) -> str:
    """Return an amount as an operator reads it: `4.99 EUR`, `250 XTR`."""
    return f"{major(amount, currency):.{digits(currency)}f} {currency}"
