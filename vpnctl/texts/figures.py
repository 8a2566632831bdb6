"""Numbers, amounts and times as people of a language write them (Unicode CLDR; Solar Hijri by jdatetime)."""

from __future__ import annotations

import json
from datetime import date, datetime, tzinfo
from functools import cache
from pathlib import Path
from typing import Any

from vpnctl.rules import money
from vpnctl.rules.sizes import human_size
from vpnctl.rules.translation import Persian, mark

LOCALES = {"en": "en_GB", "ru": "ru", "fa": "fa"}
"""Ours -> CLDR's. English is read all over the world, so its dates have their day first and 24 hours."""
UNITS = {
    "B": mark("B"),
    "KiB": mark("KiB"),
    "MiB": mark("MiB"),
    "GiB": mark("GiB"),
    "TiB": mark("TiB"),
}
"""Units of `human_size`."""
STARS = "⭐️"
"""Telegram's Stars, which CLDR does not know."""
_PERSIAN = str.maketrans("0123456789.,", "۰۱۲۳۴۵۶۷۸۹٫٬")  # noqa: RUF001 - that is what it is about
_NO_BREAK = "\u00a0"


@cache
def _cldr() -> dict[str, Any]:
    """What `make locales` took from CLDR; read when somebody is written to, so that no command waits for it."""
    found: dict[str, Any] = json.loads((Path(__file__).parent / "locales/cldr.json").read_text(encoding="utf-8"))
    return found


def digits(text: str, locale: str, persian: Persian) -> str:
    """Return a written number in the digits of the language."""
    return text.translate(_PERSIAN) if locale == "fa" and persian.digits else text


def size(number: int, locale: str, persian: Persian) -> tuple[str, str]:
    """Return bytes as a number and the English unit that it counts."""
    value, unit = human_size(number).split(" ")
    return digits(value.replace(".", _cldr()[locale]["decimal"]), locale, persian), unit


def price(amount: int, currency: str, locale: str, persian: Persian) -> str:
    """Return minor units as a price; parts of a whole are shown where there are some."""
    if currency == "XTR":
        return f"{digits(str(amount), locale, persian)} {STARS}"
    cldr = _cldr()[locale]
    whole, part = divmod(abs(amount), 10 ** money.digits(currency))
    written = f"{'-' if amount < 0 else ''}{whole:,}".replace(",", cldr["group"])
    written += f"{cldr['decimal']}{part:0{money.digits(currency)}d}" if part else ""
    written, sign = digits(written, locale, persian), cldr["signs"].get(currency, currency)
    if locale == "en":
        return f"{sign}{_NO_BREAK if sign == currency else ''}{written}"
    return f"{written}{_NO_BREAK}{sign}"


def moment(at: datetime, zone: tzinfo, locale: str, persian: Persian) -> str:
    """Return a time in the operator's zone, which is named."""
    there = at.astimezone(zone)
    day, name, year = _day(there.date(), locale, persian)
    written = f"{day} {name} {year}{'،' if locale == 'fa' else ','} {there:%H:%M}"
    return f"{digits(written, locale, persian)} {there.tzname()}"


def _day(day: date, locale: str, persian: Persian) -> tuple[int, str, int]:
    if locale != "fa" or not persian.solar:
        return day.day, _cldr()[locale]["months"][day.month - 1], day.year
    import jdatetime

    solar = jdatetime.date.fromgregorian(date=day)
    return solar.day, jdatetime.date.j_months_fa[solar.month - 1], solar.year


def month(span: str, locale: str, persian: Persian) -> str:
    """Return a month `2026-11` by its name. It is one of the Gregorian calendar, by which traffic is counted."""
    year, number = span.split("-")
    return digits(f"{_cldr()[locale]['whole_months'][int(number) - 1]} {year}", locale, persian)
