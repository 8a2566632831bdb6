"""Every screen in every language: nothing untranslated, nothing broken, everything parses."""

from __future__ import annotations

import gettext
import re

import pytest

from tests.telegram.test_journeys import offer
from vpnctl.actions.people import users
from vpnctl.actions.sales import subscriptions
from vpnctl.texts import words

LATIN = re.compile(r"[A-Za-z]{4,}")
NAMES = re.compile(
    r"https?://\S+|/[a-z_]+|\S+\.conf|[\w-]+-[\w-]+|sudo .*|tg501|phone|laptop|month|taste|Month|WireGuard|Windows|iPhone|iPad|Android|macOS|Linux"
    r"|Ivan|Olga|Petr|ivan|olga|Telegram|Mac App Store|App Store|Google Play|F-Droid|resolvconf|openresolv|Import tunnel\(s\) from file|Files"
    r"|Activate|Create from QR code|Scan from QR code|Import from file|English|unlimited|vpnctl jobs history \w+|wireguard"
)  # fmt: skip
"""What is the same in all languages: names, commands, labels of the app that it does not translate."""


class Strict(gettext.NullTranslations):
    """Says what is missing."""

    def gettext(self, message):
        raise AssertionError(f"untranslated: {message!r}")

    def ngettext(self, one, _other, _n):
        raise AssertionError(f"untranslated: {one!r}")


@pytest.fixture(params=["ru", "fa"])
def locale(request, monkeypatch):
    real = words._catalogue

    def strict(name):
        found = real(name)
        if name == request.param:
            found.add_fallback(Strict())
        return found

    monkeypatch.setattr(words, "_catalogue", strict)
    yield request.param
    real.cache_clear()


def test_every_menu_can_be_walked_through(bot, serve, api, clock, admin, locale):
    serve("fi")
    serve("de")
    offer(bot.app)
    ivan = api.person(501, "Ivan", language=locale, username="ivan")
    admin.who["language_code"] = locale
    bot.join(ivan, admin)
    users.change(bot.app, "tg501", {"unlimited": False})
    bot.say(ivan, "/start")
    subscriptions.grant(bot.app, "tg501", "month")
    users.add(bot.app, ["olga"], telegram_id=admin.number, locale=locale)
    seen = set()
    for who, commands in ((ivan, ("start", "get_config", "regen", "status", "server", "stats", "plans", "trial", "help", "language")), (admin, ("users", "add_user", "nodes", "pending"))):  # fmt: skip
        for command in commands:
            clock.forward(seconds=30)
            bot.say(who, f"/{command}")
            walk(bot, who, clock, seen, 3)
    assert len(seen) > 25
    for person in (ivan, admin):
        for message in person.messages:
            for text in (message.text, *message.labels()):
                assert not LATIN.search(NAMES.sub("", text)), text
                if locale == "ru":
                    assert not re.search(r"[\u0600-\u06ff]", text) or "فارسی" in text


def walk(bot, who, clock, seen, depth):
    """Press everything that is there, once."""
    labels = who.last.labels() if who.messages else []
    for label in labels:
        key = (who.last.text.split("\n")[0], label)
        if depth == 0 or key in seen or label in ("English", "فارسی", "Русский"):
            continue
        seen.add(key)
        if who.last.labels() != labels or any(
            "url" in button for row in who.last.rows for button in row if button["text"] == label
        ):
            continue
        clock.forward(seconds=30)
        bot.press(who, label)
        walk(bot, who, clock, seen, depth - 1)
