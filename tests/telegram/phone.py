"""What several modules do with a phone, and look up behind it."""

from __future__ import annotations

from vpnctl.store.rows import Notice


def connect(bot, person_, kind="📱"):
    bot.say(person_, "/get_config")
    if any("➕" in label for label in person_.last.labels()):
        bot.press(person_, "➕")
    bot.press(person_, kind)


def notices(app, **where):
    with app.store.read() as tx:
        return [row for row in tx.all(Notice) if all(getattr(row, key) == value for key, value in where.items())]
