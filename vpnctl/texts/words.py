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

from vpnctl.rules.grammar import clean
from vpnctl.rules.translation import Persian, mark
from vpnctl.texts import figures

LOCALES = ("en", "ru", "fa")
NATIVE = {"en": "English", "ru": "Русский", "fa": "فارسی"}
_FROM_LEFT, _END = "\u2068", "\u2069"
"""First strong isolate and its end: a Latin name inside a line that runs from right to left."""
_RIGHT, _LEFT = "\u200f", "\u200e"
"""Marks that run from right to left and from left to right: a line that begins with the first does so as a whole."""
_TAG = re.compile(r"<[^>]*>|\u2068[^\u2069]*\u2069")
_COMMAND = re.compile(r"(?:sudo|vpnctl) [^\u0590-\u08ff\n]*")
_SLASH = re.compile(r"(?<![\w/:<\u200e])/(?=[a-z_]+)(?!etc/)")
"""Of a command of the bot: alone, it would be shown at the wrong end of its word."""
_HOUR, _DAY = 3600, 86400
_IDENTIFIERS = frozenset(("number", "other", "id", "telegram_id"))
"""Values that people type and search for: they keep the digits that everybody has."""
DEVICES = {
    "phone": mark("Phone"),
    "tablet": mark("Tablet"),
    "laptop": mark("Laptop"),
    "desktop": mark("Desktop"),
    "tv": mark("TV"),
    "router": mark("Router"),
}
"""Names that the bot gives to devices -> what they are called."""
_DEVICE = re.compile(rf"({'|'.join(DEVICES)})(?:-([0-9]{{1,4}}))?")


@cache
def _catalogue(locale: str) -> gettext.NullTranslations:
    if locale == "en":
        return gettext.NullTranslations()
    return gettext.translation("vpnctl", Path(__file__).parent / "locales", [locale], fallback=True)


def _from_right(line: str) -> str:
    """Return a line of a text that runs from right to left, also where it begins with a Latin word, or has but values.

    A command is kept together and without isolates, so that it can be copied.
    """
    line = _COMMAND.sub(lambda found: found[0].replace(_FROM_LEFT, "").replace(_END, ""), line)
    line = _SLASH.sub(f"{_LEFT}/", line)
    own = [kind for each in _TAG.sub("", line) if (kind := unicodedata.bidirectional(each)) in ("L", "R", "AL")]
    persian = {"R", "AL"} & set(own or map(unicodedata.bidirectional, line))
    return f"{_RIGHT}{line}" if persian and (not own or own[0] == "L") else line


class Said(str):
    """A text that is fit to be shown as it is: translated, its values escaped."""

    __slots__ = ()


class Words:
    """One language. `markup`: the texts are Telegram's HTML, so every value is escaped; else they are plain."""

    def __init__(self, locale: str = "en", *, markup: bool = False, persian: Persian = Persian()) -> None:  # noqa: B008
        self.locale = locale if locale in LOCALES else "en"
        self.markup = markup
        self._persian = persian

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
        """Return texts as a list with the language's commas."""
        return Said(("، " if self.locale == "fa" else ", ").join(parts))

    def _filled(self, text: str, values: dict[str, Any]) -> Said:
        filled = text.format(**{key: self._value(key, value) for key, value in values.items()})
        return Said(filled if self.locale != "fa" else "\n".join(map(_from_right, filled.split("\n"))))

    def _value(self, key: str, value: Any) -> str:
        if key == "device" and isinstance(value, str) and not isinstance(value, Said):
            value = self.device(value)
        number = isinstance(value, int) and key not in _IDENTIFIERS
        return figures.digits(str(value), self.locale, self._persian) if number else self.value(value)

    def device(self, name: str) -> str:
        """Return what a device is called: one that the bot named in the language, another by its name. Plain."""
        found = _DEVICE.fullmatch(name)
        if found is None or self.locale == "en":
            return name
        kind = _catalogue(self.locale).gettext(DEVICES[found[1]])
        return f"{kind} {figures.digits(found[2], self.locale, self._persian)}" if found[2] else kind

    def value(self, value: Any) -> str:
        """Return a value fit for a text: control characters shown, markup escaped, set off where lines run left."""
        if isinstance(value, Said) or not isinstance(value, str):
            return str(value)
        shown = "\n".join(clean(line, 4000) for line in value.split("\n"))
        shown = html.escape(shown, quote=False) if self.markup else shown
        turned = self.locale == "fa" or any(unicodedata.bidirectional(each) in ("R", "AL") for each in shown)
        return f"{_FROM_LEFT}{shown}{_END}" if turned and shown else shown

    def size(self, number: int) -> Said:
        """Return bytes in the largest unit that leaves at least 1."""
        written, unit = figures.size(number, self.locale, self._persian)
        return Said(f"{written} {_catalogue(self.locale).gettext(unit)}")

    def moment(self, at: datetime, zone: tzinfo) -> str:
        """Return a time in the operator's zone, which is named."""
        return figures.moment(at, zone, self.locale, self._persian)

    def month(self, span: str) -> str:
        """Return a month `2026-11` by its name."""
        return figures.month(span, self.locale, self._persian)

    def left(self, until: datetime, now: datetime) -> Said:
        """Return how long it is until then, to the nearest day; below two days to the nearest hour."""
        seconds = max(0, int((until - now).total_seconds()))
        if seconds >= 2 * _DAY - _HOUR // 2:
            return self.many("{n} day", "{n} days", (seconds + _DAY // 2) // _DAY)
        return self.many("{n} hour", "{n} hours", max(int(seconds > 0), (seconds + _HOUR // 2) // _HOUR))

    def money(self, amount: int, currency: str) -> Said:
        """Return minor units as a price with its currency (ISO 4217; XTR are Telegram's Stars)."""
        return Said(figures.price(amount, currency, self.locale, self._persian))
