"""docs/bot.md shows the bot's real screens. `make docs` writes them anew; this test compares."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.telegram.conftest import right_picture
from tests.telegram.test_journeys import offer
from tests.telegram.test_shop import PHOTO
from vpnctl import jobs
from vpnctl.actions.people import applicants, users
from vpnctl.actions.sales import subscriptions
from vpnctl.store.buying_rows import Order

DOCUMENT = Path(__file__).parents[2] / "docs/bot.md"
BEGIN, END = "<!-- screens: written by `make docs` -->\n", "<!-- end of screens -->\n"
SHOP, SHOP_END = "<!-- the shop: written by `make docs` -->\n", "<!-- end of the shop -->\n"


def drawn(message):
    """A message as text: what it says, a line per row of buttons, the names of files."""
    lines = message.text.split("\n")
    lines += [f"[file: {name}]" for name, _ in message.files.values()]
    for row in message.rows:
        lines.append("  " + "   ".join(f"[ {button['text']} ]" for button in row))
    return "```\n" + "\n".join(line.rstrip() for line in lines) + "\n```\n"


@pytest.fixture
def pictures(monkeypatch):
    """The same pictures each time."""
    monkeypatch.setattr(applicants.secrets, "choice", lambda shown: shown[1])
    monkeypatch.setattr(applicants.secrets.SystemRandom, "sample", lambda _self, some, count: list(some)[:count])


def test_screens_in_the_documentation_are_those_of_the_bot(bot, serve, ivan, admin, second, clock, pictures):
    node, parts = serve("helsinki"), []
    serve("falkenstein")
    offer(bot.app)

    def show(title, person, *words):
        clock.forward(seconds=30)
        if words:
            (bot.say if words[0].startswith("/") else bot.press)(person, words[0])
        parts.append(f"#### {title}\n\n{drawn(person.last)}")

    parts.append("### Who is not let in yet\n")
    show("A stranger sends /start", ivan, "/start")
    bot.press(ivan, right_picture(bot.app, ivan))
    show("The picture was right", ivan)
    show("Every admin gets", admin)
    show("The admin presses Let in", admin, "Let in")
    show("The person gets", ivan)
    parts.append("### Users\n")
    show("/start without a subscription", ivan, "/start")
    show("/plans", ivan, "/plans")
    show("One plan", ivan, "Month")
    show("It is asked for", ivan, "I want it")
    show("/trial", ivan, "/trial")
    bot.press(admin, "Grant")
    show("An admin granted the plan", ivan)
    show("/start with a subscription", ivan, "/start")
    show("/get_config, the first time", ivan, "/get_config")
    ivan.press("Phone")
    bot.pump()
    asked, file, picture = ivan.messages[-3:]
    parts.extend(f"#### {title}\n\n{drawn(each)}" for title, each in (("A device was chosen", asked), ("A moment later", file), ("And", picture)))  # fmt: skip
    show("/get_config, later", ivan, "/get_config")
    show("/regen", ivan, "/regen")
    show("The device was chosen", ivan, "phone")
    row = next(row for each in bot.app.connect.__self__.nodes.values() for row in each.people())
    jobs.run(bot.app, "usage")
    row[2:5] = [str(int(clock().timestamp())), str(5 * 2**30), str(2**30)]
    jobs.run(bot.app, "usage")
    show("/status", ivan, "/status")
    show("/stats", ivan, "/stats")
    show("/server", ivan, "/server")
    there = next(label for label in ivan.last.labels() if not label.startswith("📍"))
    show("Another server was chosen", ivan, there)
    show("/help", ivan, "/help")
    show("A platform was chosen", ivan, "Android")
    show("/language", ivan, "/language")
    show("Русский", ivan, "Русский")
    parts.append("### Admins\n")
    show("/start", admin, "/start")
    users.add(bot.app, ["anna", "boris"])
    show("/users", admin, "/users")
    show("One person", admin, "tg501")
    show("Suspend", admin, "Suspend")
    show("/nodes", admin, "/nodes")
    node.fake.down = True
    stranger = bot.api.person(777, "Petr")
    bot.say(stranger, "/start")
    bot.press(stranger, right_picture(bot.app, stranger))
    show("/pending", admin, "/pending")
    subscriptions.cancel(bot.app, "tg501")
    show("What another admin did", second)
    compare("\n".join(parts), BEGIN, END)


def compare(text, begin, end):
    """Compare a part of the documentation with what the bot shows, or write it."""
    document = DOCUMENT.read_text(encoding="utf-8")
    before, _, rest = document.partition(begin)
    there, _, after = rest.partition(end)
    if os.environ.get("WRITE_SCREENS") == "1":
        DOCUMENT.write_text(before + begin + text + end + after, encoding="utf-8")
    else:
        assert there == text, "run: make docs"


def test_screens_of_the_shop_in_the_documentation_are_those_of_the_bot(store, ivan, admin, clock, pictures):
    parts = []

    def show(title, person, *words):
        clock.forward(seconds=30)
        if words:
            (store.say if words[0].startswith("/") else store.press)(person, words[0])
        parts.append(f"#### {title}\n\n{drawn(person.last)}")

    show("/plans", ivan, "/plans")
    show("A plan was chosen", ivan, "One month")
    show("A way to pay was chosen: the link", ivan, "YooKassa")
    show("I have paid", ivan, "I have paid")
    store.till.pay(store.rows(Order)[0].id)
    show("The money is there", ivan, "Ask again")
    store.say(ivan, "/plans")
    store.press(ivan, "One month")
    show("The next month, by transfer", ivan, "Transfer")
    store.say(ivan, "", photo=PHOTO)
    show("A picture of the receipt was sent", ivan)
    show("Every admin gets", admin)
    show("The admin presses Refuse", admin, "Refuse")
    show("And gives a reason", admin, "did not come")
    show("The person gets", ivan)
    show("/paysupport", ivan, "/paysupport")
    compare("\n".join(parts), SHOP, SHOP_END)
