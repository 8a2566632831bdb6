"""The order in which a screen shows words, by the Unicode bidirectional algorithm: as they are read, in every language."""

from __future__ import annotations

import re
import string
import unicodedata
from datetime import UTC, datetime
from pathlib import Path

import pytest
from babel.messages.pofile import read_po
from bidi import get_display

from vpnctl.texts import wording
from vpnctl.texts.words import Words

LOCALES = Path(wording.__file__).parent / "locales"
MARKS = re.compile("[\u200e\u200f\u2066-\u2069]")
TAG = re.compile(r"<[^>]*>")
ISOLATE = re.compile("\u2068([^\u2069]*)\u2069")
LATIN = {
    "user": "ivan", "device": "work-laptop", "node": "helsinki", "plan": "One month", "name": "tg501", "display": "Ivan P.",
    "who": "Ivan (tg501)", "app": "WireGuard", "file": "tg501-phone.conf", "provider": "YooKassa", "what": "no answer",
    "reason": "too late", "reference": "TX-1", "method": "Stripe", "tunnel": "tg501-phone", "text": "TX-99", "subject": "fi", "payment": "ab12cd34", "job": "sync", "admin": "Olga",
}  # fmt: skip
PERSIAN = {"user": "علی", "display": "علی رضا", "who": "علی رضا (tg501)", "plan": "یک ماهه", "reason": "دیر شد"}
OTHERS = {
    "count": 3,
    "n": 3,
    "number": 17,
    "id": 501,
    "telegram_id": 501,
    "days": 2,
    "hours": 24,
    "peers": 9,
    "online": 1,
}


def rtl(text):
    return any(unicodedata.bidirectional(each) in ("R", "AL") for each in text)


WORD = re.compile(
    r"[A-Za-z/](?:[^\u0590-\u08ff]*[A-Za-z0-9])?|[0-9۰-۹](?:[0-9۰-۹.,٫٬:]*[0-9۰-۹])?|[\u0590-\u065f\u066e-\u06ef\u06fa-\u08ff\u200c]+|[^\W\d_]+"
)


def items(line):
    """The words of a line as they are read: what an isolate holds is one, and so are Latin words that follow each other."""
    parts = enumerate(ISOLATE.split(line))
    return [each for index, part in parts for each in ([part] if index % 2 else WORD.findall(MARKS.sub("", part)))]


def shown_in_order(line):
    """Whether the words stand on the screen in the order in which they are read: from the right, or from the left."""
    plain = TAG.sub("", line)
    from_right = next(
        (
            kind in ("R", "AL")
            for kind in map(unicodedata.bidirectional, ISOLATE.sub("", plain))
            if kind in ("L", "R", "AL")
        ),
        rtl(plain),
    )
    display = MARKS.sub("", get_display(plain))
    at = len(display) if from_right else 0
    for item in items(plain):
        shape = MARKS.sub("", get_display(item))
        at = display.rfind(shape, 0, at) if from_right else display.find(shape, at)
        if at < 0:
            return f"{item!r} is out of order in {display!r}, which reads {plain!r}"
        at += 0 if from_right else len(shape)
    return ""


def filled(message, locale, more):
    """A message with values, as it is shown."""
    words = Words(locale, markup=True)
    keys = {name for _, name, _, _ in string.Formatter().parse(message) if name}
    special = {
        "price": words.money(39900, "RUB"),
        "prices": words.money(150000000, "IRR"),
        "size": words.size(5 * 2**30),
    }
    special |= {
        "used": words.size(2**30),
        "limit": words.size(2**40),
        "left": words.size(7),
        "month": words.month("2026-11"),
    }
    moment = words.moment(datetime(2026, 11, 28, 16, 4, tzinfo=UTC), UTC)
    values = {key: {**LATIN, **special, **OTHERS, **more}.get(key, moment) for key in keys}
    return words.say(message, **values)


def messages():
    with (LOCALES / "fa/LC_MESSAGES/vpnctl.po").open("rb") as file:
        return [each.id for each in read_po(file, locale="fa") if isinstance(each.id, str) and each.id]


@pytest.mark.parametrize("locale", ["en", "ru", "fa"])
@pytest.mark.parametrize("names", ["latin", "persian"])
def test_every_text_shows_its_words_in_the_order_in_which_they_are_read(locale, names):
    texts = [filled(each, locale, PERSIAN if names == "persian" else {}) for each in messages()]
    assert [wrong for text in texts for line in text.split("\n") if (wrong := shown_in_order(line))] == []


@pytest.mark.parametrize("names", [{}, PERSIAN])
def test_a_persian_line_runs_from_the_right_and_all_others_from_the_left(names):
    for locale in ("en", "ru", "fa"):
        for message in messages():
            for line in TAG.sub("", filled(message, locale, names)).split("\n"):
                bare = ISOLATE.sub("", line)
                first = next((k for k in map(unicodedata.bidirectional, bare) if k in ("L", "R", "AL")), None)
                letters = MARKS.sub("", bare)
                own = locale == "fa" and rtl(letters if re.search(r"[^\W\d_]", letters) else line)
                assert first is None or (first in ("R", "AL")) == own, line


def test_a_line_in_the_wrong_order_is_noticed():
    assert shown_in_order("WireGuard را از App Store نصب کنید")
