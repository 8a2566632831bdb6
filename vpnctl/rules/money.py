"""Amounts of money: whole minor units of a currency, and how many of them make one. Pure.

Source: ISO 4217, list one (currencies without and with three decimals); XTR are Telegram's Stars, which have no parts.
"""

from __future__ import annotations

_NONE = frozenset("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF XTR".split())  # noqa: SIM905
_THREE = frozenset("BHD IQD JOD KWD LYD OMR TND".split())  # noqa: SIM905


def digits(currency: str) -> int:
    """Return how many decimals the currency has."""
    return 0 if currency in _NONE else 3 if currency in _THREE else 2


def major(amount: int, currency: str) -> float:
    """Return minor units in major ones."""
    return amount / float(10 ** digits(currency))


def written(amount: int, currency: str) -> str:
    """Return an amount as an operator reads it: `4.99 EUR`, `250 XTR`."""
    return f"{major(amount, currency):.{digits(currency)}f} {currency}"
