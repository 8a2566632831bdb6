"""What people ask admins for: a wish with a state and a way back, a refusal with a reason, and gifts that are undone."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.telegram.conftest import make_bot
from tests.telegram.phone import connect
from tests.telegram.test_journeys import offer
from vpnctl import jobs
from vpnctl.actions.people import peers, users
from vpnctl.actions.talk import lockdown
from vpnctl.reports import asking
from vpnctl.store import models
from vpnctl.store.rows import Subscription


def rows(app, kind):
    with app.store.read() as tx:
        return tx.all(kind)


@pytest.fixture
def wished(inside, ivan):
    """Ivan wants a plan that only an admin can give."""
    offer(inside.app)
    users.change(inside.app, "tg501", {"unlimited": False})
    inside.say(ivan, "/plans")
    inside.press(ivan, "Month")
    inside.press(ivan, "I want it")
    return inside


def test_a_wish_is_shown_until_it_is_decided(wished, ivan, admin):
    assert "waits for an admin" in ivan.last.text
    wished.say(ivan, "/start")
    assert "Month" in wished.press(ivan, "Your wish")
    wished.press(admin, "Grant")
    wished.say(ivan, "/start")
    assert not any("Your wish" in label for label in ivan.last.labels())


def test_a_wish_is_withdrawn_and_nobody_decides_on_it_any_more(wished, ivan, admin):
    wished.press(ivan, "Withdraw")
    assert "Your VPN" in ivan.last.text
    assert "Nothing" in wished.say(admin, "/pending")
    wished.press(admin, "Grant")
    assert rows(wished.app, Subscription) == []
    with wished.app.store.read() as tx:
        assert [each.state for each in asking.requests(tx, decided=True)] == ["withdrawn"]


def test_an_admin_reads_who_asks_and_what_it_costs(wished, admin):
    assert "Ivan" in admin.last.text
    assert "€4.99" in admin.last.text


def test_a_wish_is_refused_with_a_reason_in_the_persons_language(wished, ivan, admin):
    users.change(wished.app, "tg501", {"locale": "ru"})
    wished.press(admin, "Refuse")
    wished.press(admin, "no room")
    assert "Сейчас нет мест" in ivan.last.text


@pytest.mark.parametrize("gift", ["day", "plan"])
def test_what_an_admin_gave_a_moment_ago_is_undone(wished, ivan, admin, gift):
    wished.press(admin, "Grant")
    before = [(each.starts_at, each.ends_at) for each in rows(wished.app, Subscription)]
    wished.say(admin, "/users tg501")
    wished.press(admin, "tg501")
    if gift == "day":
        wished.press(admin, "+ 7 days")
    else:
        wished.press(admin, "Give a plan")
        wished.press(admin, "Month")
    assert len(rows(wished.app, Subscription)) == 2
    wished.press(admin, "Undo")
    living = [each for each in rows(wished.app, Subscription) if each.cancelled_at is None]
    assert [(each.starts_at, each.ends_at) for each in living] == before


def test_what_another_admin_built_on_is_not_undone(wished, admin, second):
    wished.press(admin, "Grant")
    for each, days in ((admin, "+ 1 day"), (second, "+ 7 days")):
        wished.say(each, "/users tg501")
        wished.press(each, "tg501")
        wished.press(each, days)
    wished.press(admin, "Undo")
    assert any("did not work: subscription.extend came after it" in each.text for each in admin.messages)
    assert all(each.cancelled_at is None for each in rows(wished.app, Subscription))


def test_people_reach_an_admin_where_the_settings_name_one(wished, api, ivan):
    app = replace(wished.app, settings=replace(wished.app.settings, support_contact="https://t.me/vpn_admin"))
    bot = make_bot(app, api)
    for command in ("/help", "/paysupport"):
        bot.say(ivan, command)
        assert "https://t.me/vpn_admin" in [each.get("url") for row in ivan.last.rows for each in row]
    users.block(app, "tg501")
    bot.pump()
    assert "https://t.me/vpn_admin" in [each.get("url") for row in ivan.last.rows for each in row]


def test_a_lock_says_why_and_ends_by_itself(wished, ivan, clock):
    lockdown.lock(wished.app, "New servers", clock() + timedelta(hours=2))
    said = wished.say(ivan, "/start")
    assert "New servers" in said
    assert "opens again at 15 Jan 2027, 14:0" in said
    clock.forward(hours=3)
    assert "Your VPN" in wished.say(ivan, "/start")


def test_an_admin_closes_the_bot_and_only_the_command_line_opens_it(wished, ivan, admin, second):
    wished.say(admin, "/lockdown Maintenance")
    wished.press(admin, "Until opened")
    assert "closed the bot" in second.last.text
    assert "Maintenance" in wished.say(ivan, "/start")
    assert "closed for now" in wished.say(admin, "/start")
    lockdown.unlock(wished.app)
    assert "Your VPN" in wished.say(ivan, "/start")


def test_a_lock_of_before_the_upgrade_holds(wished, ivan):
    with wished.app.store.write() as tx:
        tx.set_meta("bot_lockdown", "2027-01-15T12:00:00+00:00")
    assert "closed for now" in wished.say(ivan, "/start")


def test_plans_are_called_as_in_the_persons_language(wished, ivan):
    from vpnctl.actions.service import inventory
    from vpnctl.actions.service.inventory_form import parse

    text = "plans:\n  - {name: month, title: Month, titles: {ru: Месяц, fa: یک ماهه}, days: 30, prices: {EUR: 499}}\n"
    inventory.apply(wished.app, *parse(text, "plans"))
    for locale, title in (("ru", "Месяц"), ("fa", "یک ماهه"), ("en", "Month")):
        users.change(wished.app, "tg501", {"locale": locale})
        assert title in wished.say(ivan, "/plans")
    with wished.app.store.read() as tx:
        assert tx.execute(models.plan.select()).first().titles == {"ru": "Месяц", "fa": "یک ماهه"}


def test_asking_and_withdrawing_again_and_again_does_not_flood_the_admins(wished, ivan, admin, clock):
    for _ in range(20):
        clock.forward(seconds=20)
        wished.press(ivan, "Withdraw") if "Withdraw" in " ".join(ivan.last.labels()) else None
        wished.say(ivan, "/plans")
        wished.press(ivan, "Month")
        wished.press(ivan, "I want it")
    assert sum("asks for" in each.text for each in admin.messages) == 10


def test_a_gift_by_the_bot_is_taken_back_alone(wished, admin):
    wished.press(admin, "Grant")
    wished.say(admin, "/users tg501")
    wished.press(admin, "tg501")
    wished.press(admin, "+ 1 day")
    with wished.app.store.read() as tx:
        events = tx.execute(models.event.select().where(models.event.c.verb.startswith("subscription."))).all()
    assert len({each.run_id for each in events}) == 2


@pytest.mark.parametrize("kept", ["null", "{}", "{", '{"since": 7}', "yesterday"])
def test_a_lock_that_makes_no_sense_locks_until_it_is_opened(wished, ivan, kept):
    with wished.app.store.write() as tx:
        tx.set_meta("bot_lockdown", kept)
    assert "closed for now" in wished.say(ivan, "/start")
    lockdown.unlock(wished.app)
    assert "Your VPN" in wished.say(ivan, "/start")


def test_an_emergency_is_not_braked(wished, admin, ivan):
    for number in range(20):
        users.add(wished.app, [f"u{number}"])
        users.block(replace(wished.app, actor=f"bot:{admin.number}"), f"u{number}")
    wished.say(admin, "/lockdown")
    wished.press(admin, "Until opened")
    assert "closed for now" in wished.say(ivan, "/start")


def test_a_gift_is_undone_also_after_the_clock_did_its_part_and_the_person_is_told(wished, ivan, admin, clock):
    wished.press(admin, "Grant")
    wished.say(admin, "/users tg501")
    wished.press(admin, "tg501")
    wished.press(admin, "+ 7 days")
    until = ivan.last.text
    jobs.run(wished.app, "expire", jobs.Mode(force=True))
    wished.press(admin, "Undo")
    assert len([each for each in rows(wished.app, Subscription) if each.cancelled_at is None]) == 1
    assert "now lasts until" in ivan.last.text
    assert ivan.last.text != until


def test_a_request_means_its_device_whatever_it_is_called_by_now(wished, api, ivan, admin):
    wished.press(admin, "Grant")
    connect(wished, ivan)
    shop = make_bot(replace(wished.app, settings=replace(wished.app.settings, approve_configs=True)), api)
    shop.say(ivan, "/regen")
    shop.press(ivan, "phone")
    shop.press(ivan, "New keys now")
    peers.change(shop.app, "tg501/phone", "abc")
    shop.press(admin, "Grant")
    assert len(ivan.files("document")) == 2
    assert ivan.files("document")[-1][0] == "tg501-abc.conf"
