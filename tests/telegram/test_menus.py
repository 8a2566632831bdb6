"""Menus, lists and invitations."""

from __future__ import annotations

from dataclasses import replace

from tests.telegram.conftest import ADMIN
from tests.telegram.phone import connect
from tests.telegram.test_journeys import offer, person
from vpnctl.actions.people import users
from vpnctl.actions.talk import requests
from vpnctl.store import models
from vpnctl.store.rows import User


def test_persian_values_inside_values_are_shown_once_and_not_as_escapes(inside, ivan, admin, clock):
    users.change(inside.app, "tg501", {"locale": "fa"})
    clock.forward(seconds=20)
    connect(inside, ivan)
    text = inside.say(ivan, "/status")
    assert "\\u20" not in text
    shop = replace(inside.app, settings=replace(inside.app.settings, approve_configs=True))
    requests.want(shop, person(shop, "tg501"), requests.REGEN, {"device": "phone"})
    users.add(shop, ["olga"], telegram_id=ADMIN, locale="fa")
    inside.care()
    assert "\\u20" not in admin.last.text
    assert "گوشی" in admin.last.text


def test_many_servers_devices_and_plans_come_in_pages(inside, ivan, serve, clock):
    for number in range(20):
        serve(f"n{number:02}")
    offer(inside.app, "plans:\n" + "".join(f"  - {{name: p{number:02}, days: 30}}\n" for number in range(30)))
    connect(inside, ivan)
    clock.forward(seconds=30)
    inside.say(ivan, "/server")
    seen = walk(inside, ivan, clock)
    assert len([label for label in seen if "n" in label or "fi" in label]) >= 21
    inside.say(ivan, "/plans")
    assert {f"p{number:02}" for number in range(30)} <= walk(inside, ivan, clock)


def walk(bot, person_, clock):
    seen = set()
    while True:
        assert len(person_.last.labels()) <= 12
        seen |= {label.removeprefix("📍 ") for label in person_.last.labels()}
        if "Next ›" not in person_.last.labels():
            return seen
        clock.forward(seconds=20)
        bot.press(person_, "Next")


def test_the_server_that_is_used_already_keeps_the_menu_alive(inside, ivan, api, serve, clock):
    serve("de")
    connect(inside, ivan)
    clock.forward(seconds=20)
    inside.say(ivan, "/server")
    key = ivan.press("📍")
    inside.pump()
    assert api.answers[key]["text"] == "It is there already."
    other = next(label for label in ivan.last.labels() if not label.startswith(("📍", "«")))
    assert "Move phone" in inside.press(ivan, other)


def test_an_invitation_for_a_name_takes_language_and_withdraws_the_accounts_own_request(bot, api, cli, admin):
    from tests.telegram.conftest import right_picture

    users.add(bot.app, ["alice"])
    maria = api.person(900, "Мария", language="ru")
    bot.say(maria, "/start")
    bot.press(maria, right_picture(bot.app, maria))
    code = cli("user", "invite", "alice", "--json").json["code"]
    assert "Ваш VPN" in bot.say(maria, f"/start {code}")
    alice = person(bot.app, "alice")
    assert (alice.locale, alice.display_name, alice.telegram_id) == ("ru", "Мария", 900)
    with bot.app.store.read() as tx:
        verbs = [row.verb for row in tx.execute(models.event.select())]
        assert len(tx.all(User, models.user.c.removed_at.is_(None))) == 1
    assert {"user.remove", "user.set", "invite.redeem"} <= set(verbs)


def test_an_invitation_is_listed_and_withdrawn(bot, ivan, cli):
    code = cli("user", "invite", "--days", "90", "--json").json["code"]
    (row,) = cli("user", "invites", "--json").json
    assert (row["user"], row["made_by"][:4]) == (None, "cli:")
    assert cli("user", "uninvite", row["id"]).code == 0
    assert cli("user", "uninvite", row["id"]).code == 5
    assert cli("user", "invites", "--json").json == []
    assert "does not work" in bot.say(ivan, f"/start {code}")


def test_who_is_let_in_where_there_are_plans_is_led_to_them(bot, ivan, admin):
    offer(bot.app)
    bot.join(ivan, admin)
    assert ivan.last.text == "You are in. Send /plans to see what there is."


def test_without_a_server_a_person_hears_so(bot, ivan, admin):
    bot.join(ivan, admin)
    bot.say(ivan, "/get_config")
    assert "No server is ready yet" in bot.press(ivan, "Phone")


def test_what_was_chosen_and_is_not_sold_any_more_is_not_gone_on_with(bot, ivan, admin):
    offer(bot.app)
    bot.join(ivan, admin)
    bot.say(ivan, "/plans")
    bot.press(ivan, "Month")
    with bot.app.store.write() as tx:
        tx.execute(models.plan.update().values(on_sale=False))
    bot.say(ivan, "/start")
    assert not any("Go on" in label for label in ivan.last.labels())
