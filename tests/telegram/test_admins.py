"""What admins decide, and who hears of it."""

from __future__ import annotations

from tests.telegram.conftest import ADMIN
from tests.telegram.test_journeys import offer, person
from vpnctl.actions.people import users
from vpnctl.actions.sales import subscriptions
from vpnctl.actions.talk import requests
from vpnctl.store import models


def test_a_request_is_decided_by_the_whole_id_that_the_list_shows(inside, ivan, cli):
    offer(inside.app)
    requests.want(inside.app, person(inside.app, "tg501"), requests.PLAN, {"plan": "month"})
    (row,) = cli("request", "list", "--json").json
    assert cli("request", "grant", "x; drop").code == 2
    assert cli("request", "grant", row["id"]).code == 0


def test_an_erased_person_is_in_no_event_and_no_notice(inside, ivan, admin):
    offer(inside.app)
    subscriptions.grant(inside.app, "tg501", "month")
    inside.say(ivan, "/plans")
    inside.press(ivan, "Month")
    inside.press(ivan, "I want it")
    inside.press(admin, "Refuse")
    users.change(inside.app, "tg501", {"note": "x"})
    users.remove(inside.app, "tg501", erase=True)
    with inside.app.store.read() as tx:
        for table in (models.event, models.notice, models.request, models.inbox, models.button):
            assert "501" not in [str(value) for row in tx.execute(table.select()) for value in row]
            assert "tg501" not in str(tx.execute(table.select()).all()), table.name
            assert "bot:501" not in str(tx.execute(table.select()).all()), table.name


def test_an_admin_cannot_be_suspended_by_button_and_stays_an_admin(inside, admin, second):
    users.add(inside.app, ["petr"], telegram_id=second.number)
    inside.say(admin, "/users petr")
    inside.press(admin, "petr")
    inside.press(admin, "Suspend")
    assert "command line only" in inside.press(admin, "Suspend now")
    users.block(inside.app, "petr")
    inside.pump()
    assert "People" in inside.say(second, "/users")


def test_turning_away_twice_says_who_did(bot, ivan, admin, cli):
    from tests.telegram.conftest import right_picture

    bot.say(ivan, "/start")
    bot.press(ivan, right_picture(bot.app, ivan))
    assert cli("user", "reject", "tg501").code == 0
    run = cli("user", "reject", "tg501")
    assert (run.code, "turned away already" in run.err) == (5, True)


def test_the_bots_unit_alerts_and_is_never_given_up(cli, settings):
    from vpnctl.jobs import timers

    text = timers.units("/usr/bin/vpnctl", settings.key_file, "root", bot=True)["vpnctl-bot.service"]
    assert "StartLimitIntervalSec=0" in text
    assert "OnFailure=vpnctl-alert@bot.service" in text
    cli("init", "--yes")
    assert cli("jobs", "failed", "bot").code == 0
    assert "journalctl -u vpnctl-bot" in cli("notice", "list").out


def test_a_button_means_the_person_whatever_the_name_is_now(bot, admin):
    users.add(bot.app, ["ivan", "petr"])
    bot.say(admin, "/users ivan")
    bot.press(admin, "ivan")
    bot.press(admin, "Suspend")
    users.change(bot.app, "ivan", {"name": "ivan-old"})
    users.change(bot.app, "petr", {"name": "ivan"})
    bot.press(admin, "Suspend now")
    assert person(bot.app, "ivan").blocked_at is None
    assert person(bot.app, "ivan-old").blocked_at is not None


def test_an_old_let_in_does_not_overrule_a_rejection(bot, ivan, admin, second, cli):
    from tests.telegram.conftest import right_picture

    bot.say(ivan, "/start")
    bot.press(ivan, right_picture(bot.app, ivan))
    bot.press(admin, "Turn away")
    bot.press(second, "Let in")
    assert "turned away already, by bot:11" in "".join(each.text for each in second.messages)
    assert person(bot.app, "tg501").approved_at is None
    assert cli("user", "approve", "tg501").code == 0


def test_a_crowd_at_the_door_does_not_flood_the_admins(bot, api, admin, clock):
    from tests.telegram.conftest import right_picture

    for number in range(30):
        stranger = api.person(3000 + number)
        bot.say(stranger, "/start")
        bot.press(stranger, right_picture(bot.app, stranger))
        clock.forward(seconds=15)
    texts = [each.text for each in admin.messages]
    assert len([text for text in texts if "wants access" in text]) == 20
    assert len([text for text in texts if "More people want access" in text]) == 1


def test_an_admins_name_forges_no_lines(bot, api, second):
    users.add(bot.app, ["bob"])
    forger = api.person(ADMIN, "Olga\nPetr: added root")
    bot.say(forger, "/users bob")
    bot.press(forger, "bob")
    bot.press(forger, "Suspend")
    bot.press(forger, "Suspend now")
    assert second.last.text.count("\n") == 0
