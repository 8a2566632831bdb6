"""What people read, in their language. Source texts are English; catalogues lie in `locales/` (`make locales`)."""

from __future__ import annotations

import gettext
import html
import re
import unicodedata
from collections.abc import Sequence
from datetime import datetime, tzinfo
from functools import cache
from pathlib import Path
from typing import Any

from vpnctl.rules import money
from vpnctl.rules.grammar import clean
from vpnctl.rules.sizes import human_size

LOCALES = ("en", "ru", "fa")
NATIVE = {"en": "English", "ru": "Русский", "fa": "فارسی"}
_FROM_LEFT, _END = "\u2068", "\u2069"
"""First strong isolate and its end: a Latin name inside a line that runs from right to left."""
_RIGHT = "\u200f"
"""A mark that runs from right to left: a line that begins with it does so as a whole."""
_TAG = re.compile(r"<[^>]*>|\u2068[^\u2069]*\u2069")
_COMMAND = re.compile(r"(?:sudo|vpnctl) ")
_DAY = 86400


@cache
def _catalogue(locale: str) -> gettext.NullTranslations:
    if locale == "en":
        return gettext.NullTranslations()
    return gettext.translation("vpnctl", Path(__file__).parent / "locales", [locale], fallback=True)


def _from_right(line: str) -> str:
    """Return a line of a text that runs from right to left, also where it begins with a Latin word.

    A command has no letter of such a text: it is given back without isolates, so that it can be copied.
    """
    kinds = [unicodedata.bidirectional(each) for each in _TAG.sub("", line)]
    if not any(kind in ("R", "AL") for kind in kinds):
        return line.replace(_FROM_LEFT, "").replace(_END, "") if _COMMAND.match(line) else line
    first = next(kind for kind in kinds if kind in ("L", "R", "AL"))
    return f"{_RIGHT}{line}" if first == "L" else line


class Said(str):
    """A text that is fit to be shown as it is: translated, its values escaped."""

    __slots__ = ()


class Words:
    """One language. `markup`: the texts are Telegram's HTML, so every value is escaped; else they are plain."""

    def __init__(self, locale: str = "en", *, markup: bool = False) -> None:
        self.locale = locale if locale in LOCALES else "en"
        self.markup = markup

    def say(self, text: str, /, **values: Any) -> Said:
        """Return `text` in the language, with its values."""
        return self._filled(_catalogue(self.locale).gettext(text), values)

    def translated(self, text: str) -> str:
        """Return a text of ours in the language; another one, such as an admin typed, as it is."""
        return _catalogue(self.locale).gettext(text) if text else ""

    def many(self, one: str, other: str, number: int, /, **values: Any) -> Said:
        """Return the form for `number`, which is also the value `{n}`."""
        return self._filled(_catalogue(self.locale).ngettext(one, other, number), {"n": number, **values})

    def listed(self, parts: Sequence[Said]) -> Said:
        """Return texts as a list with commas."""
        return Said(", ".join(parts))

    def _filled(self, text: str, values: dict[str, Any]) -> Said:
        filled = text.format(**{key: self.value(value) for key, value in values.items()})
        return Said(filled if self.locale != "fa" else "\n".join(map(_from_right, filled.split("\n"))))

    def value(self, value: Any) -> str:
        """Return a value fit for a text: control characters shown, markup escaped, set off where lines run left."""
        if isinstance(value, Said) or not isinstance(value, str):
            return str(value)
        shown = "\n".join(clean(line, 4000) for line in value.split("\n"))
        shown = html.escape(shown, quote=False) if self.markup else shown
        turned = self.locale == "fa" or any(unicodedata.bidirectional(each) in ("R", "AL") for each in shown)
        return f"{_FROM_LEFT}{shown}{_END}" if turned and shown else shown

    def size(self, number: int) -> str:
        """Return bytes in the largest unit that leaves at least 1."""
        return human_size(number)

    def moment(self, at: datetime, zone: tzinfo) -> str:
        """Return a time in the operator's zone, which is named."""
        there = at.astimezone(zone)
        return f"{there:%Y-%m-%d %H:%M} {there.tzname()}"

    def left(self, until: datetime, now: datetime) -> Said:
        """Return how long it is until then, begun days as whole ones, on the last day begun hours."""
        seconds = max(0, int((until - now).total_seconds()))
        if seconds >= _DAY:
            return self.many("{n} day", "{n} days", -(-seconds // _DAY))
        return self.many("{n} hour", "{n} hours", -(-seconds // 3600))

    def money(self, amount: int, currency: str) -> Said:
        """Return minor units as an amount with its currency (ISO 4217; XTR are Telegram's Stars)."""
        return Said(self.value(money.written(amount, currency)))
