"""What people asked for: a next step under every message, and nothing that surprises."""

from __future__ import annotations

import pytest

from tests.telegram.phone import connect, notices
from tests.telegram.test_journeys import offer
from vpnctl import jobs
from vpnctl.actions.people import users
from vpnctl.actions.sales import subscriptions
from vpnctl.actions.talk import lockdown
from vpnctl.store import models
from vpnctl.texts import wording
from vpnctl.texts.words import Words


def test_who_is_suspended_and_let_connect_again_is_told(inside, ivan):
    users.block(inside.app, "tg501")
    inside.pump()
    assert "suspended by an admin" in ivan.last.text
    users.unblock(inside.app, "tg501")
    inside.pump()
    assert ("access is back" in ivan.last.text, "📱 Connect a device" in ivan.last.labels()) == (True, True)


def test_the_end_is_told_as_one_once_it_is_past_and_renewing_is_a_tap(inside, ivan, clock):
    offer(inside.app)
    subscriptions.grant(inside.app, "tg501", "month")
    clock.forward(days=29)
    jobs.run(inside.app, "remind", jobs.Mode(force=True))
    inside.pump()
    assert "(Month) ends at" in ivan.last.text
    assert "🔄 Renew" in ivan.last.labels()
    clock.forward(days=1, minutes=5)
    jobs.run(inside.app, "remind", jobs.Mode(force=True))
    inside.pump()
    assert "ended at" in ivan.last.text
    assert "Month" in inside.press(ivan, "Renew")


@pytest.mark.parametrize(("share", "told"), [(79, ""), (80, "are left"), (100, "used up")])
def test_traffic_is_told_of_at_four_fifths_and_at_its_end(inside, ivan, clock, share, told):
    offer(inside.app)
    subscriptions.grant(inside.app, "tg501", "month")
    with inside.app.store.write() as tx:
        (row,) = tx.execute(models.subscription.select()).all()
        tx.execute(models.subscription.update().values(traffic=1000, traffic_period="month"))
        used = {"user_id": row.user_id, "month": f"{clock():%Y-%m}", "rx": share * 10, "tx": 0, "noted": False}
        tx.execute(models.usage_month.insert().values(**used))
    for _ in range(2):
        jobs.run(inside.app, "remind", jobs.Mode(force=True))
    inside.pump()
    assert [each.kind for each in notices(inside.app, kind="quota")] == ["quota"] * bool(told)
    assert told in ivan.last.text


def test_new_keys_come_with_the_name_of_the_tunnel_to_delete(inside, ivan):
    users.change(inside.app, "tg501", {"unlimited": True})
    connect(inside, ivan)
    assert not any("delete the old" in each.text for each in ivan.messages)
    inside.say(ivan, "/regen")
    inside.press(ivan, "phone")
    inside.press(ivan, "New keys now")
    assert any("First delete the old tunnel tg501-phone" in each.text for each in ivan.messages)


def test_a_config_that_is_still_to_come_is_not_sent_twice(inside, ivan):
    users.change(inside.app, "tg501", {"unlimited": True})
    connect(inside, ivan)
    inside.say(ivan, "/regen")
    inside.press(ivan, "phone")
    ivan.press("New keys now")
    inside.fetch()
    inside.handle()
    for _ in range(2):
        ivan.say("/get_config")
        inside.fetch()
        inside.handle()
        ivan.press("phone")
        inside.fetch()
        inside.handle()
    assert len([each for each in notices(inside.app, kind="config_file") if each.sent_at is None]) == 1


def test_an_admin_goes_on_after_each_decision(inside, admin, ivan, api):
    other = api.person(777, "Anna")
    inside.join(other, admin)
    assert {"👤 Card", "📌 To do"} <= set(admin.last.labels())


def test_a_person_is_found_by_telegram_id(inside, admin):
    inside.say(admin, "/users 501")
    assert any("tg501" in label for label in admin.last.labels())


def test_unlimited_access_is_not_ended_by_one_tap(inside, admin):
    offer(inside.app)
    users.change(inside.app, "tg501", {"unlimited": True})
    inside.say(admin, "/users tg501")
    inside.press(admin, "tg501")
    if any("Give a plan" in label for label in admin.last.labels()):
        inside.press(admin, "Give a plan")
        assert "is unlimited" in inside.press(admin, "Month")
        inside.press(admin, "Give the plan")
        with inside.app.store.read() as tx:
            assert [row.plan for row in tx.execute(models.subscription.select())] == ["month"]


def test_who_meets_a_locked_bot_can_try_again(inside, ivan):
    lockdown.lock(inside.app)
    assert "closed for now" in inside.say(ivan, "/start")
    lockdown.unlock(inside.app)
    assert "Your VPN" in inside.press(ivan, "Try again")


def test_no_limit_is_claimed_for_who_has_no_access(inside, ivan):
    users.change(inside.app, "tg501", {"unlimited": False})
    assert "Without a limit" not in inside.say(ivan, "/stats")


LATIN_FIRST = "WireGuard را از App Store نصب کنید"


def test_lines_of_persian_run_from_the_right_and_commands_carry_no_marks():
    fa = Words("fa")
    assert fa.say("Activate {file}", file="x") is not None
    assert fa._filled(LATIN_FIRST, {}).startswith("\u200f")
    assert fa._filled("sudo install -m 600 {file} /etc/wireguard/", {"file": "a.conf"}) == (
        "sudo install -m 600 a.conf /etc/wireguard/"
    )


def test_a_persian_name_does_not_turn_a_line_of_another_language():
    assert "\u2068علی\u2069" in Words("en").say("{user} asks for {what}.", user="علی", what="x")
    assert "\u2068" not in Words("ru").say("{user} asks for {what}.", user="Иван", what="x")


def test_every_message_to_a_person_has_a_next_step():
    assert set(wording._NEXT) <= set(wording._FORMS) | {"ending", "granted", "quota", "refused"}
