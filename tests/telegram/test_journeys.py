"""Whole journeys of users and admins over real HTTP, on in-memory nodes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.telegram.conftest import make_bot, right_picture
from vpnctl import jobs
from vpnctl.actions.people import users
from vpnctl.actions.sales import subscriptions
from vpnctl.actions.service import inventory
from vpnctl.actions.service.inventory_form import parse
from vpnctl.actions.talk import lockdown, requests
from vpnctl.errors import Conflict
from vpnctl.reports.devices import peers
from vpnctl.store import models
from vpnctl.store.find import user as find_user
from vpnctl.store.rows import Peer, Subscription, User

PLANS = """
plans:
  - {name: month, title: Month, days: 30, devices: 2, traffic: 100 GiB, prices: {EUR: 499, XTR: 250}}
  - {name: taste, days: 1, trial: true}
"""


def offer(app, text=PLANS):
    inventory.apply(app, *parse(text, "plans.yaml"))


def devices(app, **where):
    with app.store.read() as tx:
        return [
            each for each in peers(tx, app.clock()) if all(getattr(each, key) == value for key, value in where.items())
        ]


def person(app, name):
    with app.store.read() as tx:
        return find_user(tx, name)


def test_a_stranger_passes_the_captcha_is_let_in_and_gets_a_config_that_is_on_the_node(bot, serve, ivan, admin):
    node = serve("fi")
    assert "Press the picture that shows" in bot.say(ivan, "/start")
    assert len(ivan.last.labels()) == 6
    assert "An admin was asked" in bot.press(ivan, right_picture(bot.app, ivan))
    assert "Ivan @ivan wants access (name tg501, Telegram id 501)" in admin.last.text
    assert "is let in" in bot.press(admin, "Let in")
    assert "You are in" in ivan.last.text
    assert "What is it?" in bot.say(ivan, "/get_config")
    bot.press(ivan, "Phone")
    ((name, config),) = ivan.files("document")
    assert name == "tg501-phone.conf"
    assert b"[Interface]" in config
    ((picture, png),) = ivan.files("photo")
    assert (picture, png[:4]) == ("tg501-phone.png", b"\x89PNG")
    (device,) = devices(bot.app)
    assert person(bot.app, "tg501").approved_by == "bot:11"
    assert device.public_key in node.fake.live_keys()
    assert device.delivered_at is not None


def test_who_is_turned_away_stays_out_until_an_admin_takes_it_back(bot, ivan, admin, cli):
    bot.say(ivan, "/start")
    bot.press(ivan, right_picture(bot.app, ivan))
    bot.press(admin, "Turn away")
    assert "declined" in ivan.last.text
    assert bot.say(ivan, "/start") == "Access denied."
    assert bot.say(ivan, "/get_config") == "Access denied."
    assert cli("user", "approve", "tg501").code == 0
    bot.say(ivan, "/start")
    assert [each.text.split("\n")[0] for each in ivan.messages[-2:]] == [
        "Your VPN",
        "You are in. Send /get_config to connect a device.",
    ]


def test_the_menu_leads_who_has_no_subscription_to_plans(bot, ivan, admin):
    offer(bot.app)
    bot.join(ivan, admin)
    assert "no subscription yet" in bot.say(ivan, "/start")
    assert ivan.last.labels() == ["💳 Plans", "🎁 Free trial", "ℹ️ Status", "🆘 Help", "🌐 Language"]
    assert "no subscription yet" in bot.say(ivan, "/get_config"), "a command that needs access shows the menu"
    subscriptions.grant(bot.app, "tg501", "month")
    assert "Access: Month until 14 Feb 2027, 12:00 UTC (30 days left)" in bot.say(ivan, "/start")
    assert "📱 Get config" in ivan.last.labels()


def test_a_trial_is_begun_once_and_ends_by_itself(bot, serve, ivan, admin, clock):
    serve("fi")
    offer(bot.app)
    bot.join(ivan, admin)
    assert "once a person" in bot.say(ivan, "/trial")
    assert "Trial until 16 Jan 2027, 12:00 UTC (24 hours left)" in bot.press(ivan, "Begin")
    bot.say(ivan, "/get_config")
    bot.press(ivan, "Laptop")
    assert len(ivan.files("document")) == 1
    clock.forward(days=1)
    jobs.run(bot.app, "expire")
    assert "Your subscription has ended" in bot.say(ivan, "/start")
    assert "🎁 Free trial" not in ivan.last.labels()
    assert "no trial for you" in bot.say(ivan, "/trial")


def test_a_plan_is_asked_for_and_an_admin_grants_it(bot, ivan, admin, second):
    offer(bot.app)
    bot.join(ivan, admin)
    text = bot.say(ivan, "/plans")
    assert "Month: 30 days, 2 devices, 100.0 GiB a month, €4.99, 250 ⭐️" in text
    bot.press(ivan, "Month")
    bot.press(ivan, "I want it")
    assert admin.last.text == "Ivan @ivan (tg501) asks for the plan Month.\nPrice: €4.99, 250 ⭐️"
    bot.press(admin, "Grant")
    assert "Your access (Month) now lasts until 14 Feb 2027" in ivan.last.text
    assert second.last.text == "Olga: granted tg501 the plan month"
    bot.press(second, "Grant")
    assert "granted already, by bot:11" in "".join(each.text for each in second.messages)
    with bot.app.store.read() as tx:
        assert len(tx.all(Subscription)) == 1


def test_what_was_chosen_is_gone_on_with_after_start(bot, ivan, admin, clock):
    offer(bot.app)
    bot.join(ivan, admin)
    bot.say(ivan, "/plans")
    bot.press(ivan, "Month")
    clock.forward(days=2)
    again = make_bot(bot.app, bot.api)
    again.say(ivan, "/start")
    assert "▶️ Go on: Month" in ivan.last.labels()
    assert "30 days" in again.press(ivan, "Go on")
    again.press(ivan, "Not now")
    again.say(ivan, "/start")
    assert not any("Go on" in label for label in ivan.last.labels())


def test_regen_cuts_the_old_key_and_hands_out_the_new_one(bot, serve, ivan, admin):
    node = serve("fi")
    bot.join(ivan, admin)
    bot.say(ivan, "/get_config")
    bot.press(ivan, "Phone")
    old = node.fake.live_keys()
    assert "stops working at once" in _ask_regen(bot, ivan)
    bot.press(ivan, "New keys now")
    assert len(ivan.files("document")) == 2
    assert ivan.files("document")[0][1] != ivan.files("document")[1][1]
    assert not old & node.fake.live_keys()
    assert len(node.fake.live_keys()) == 1


def _ask_regen(bot, ivan):
    bot.say(ivan, "/regen")
    return bot.press(ivan, "phone")


def test_server_moves_a_device_before_the_old_one_ends(bot, serve, ivan, admin):
    fi, de = serve("fi"), serve("de")
    bot.join(ivan, admin)
    bot.say(ivan, "/get_config")
    bot.press(ivan, "Phone")
    here, there = (fi, de) if fi.fake.live_keys() else (de, fi)
    bot.say(ivan, "/server")
    assert any(label.startswith("📍") for label in ivan.last.labels())
    bot.press(ivan, there.name)
    bot.press(ivan, "Move")
    assert len(ivan.files("document")) == 2
    assert there.fake.live_keys()
    assert here.fake.live_keys(), "the old one lives until the new one is used"
    with bot.app.store.read() as tx:
        (old,) = tx.all(Peer, models.peer.c.retiring_at.is_not(None))
    assert old.expires_at is not None, "delivery by Telegram begins the grace"


def test_a_config_comes_only_when_it_was_read_on_the_node_and_the_person_hears_why_it_does_not(
    bot, serve, ivan, admin, api
):
    from vpnctl.worker.worker import Settler

    node = serve("fi")
    bot.join(ivan, admin)
    node.fake.down = True
    bot.say(ivan, "/get_config")
    assert "as soon as the server has confirmed it" in bot.press(ivan, "Phone")
    settler = Settler(bot.app, lambda: None, bot.log.append)
    settler.ask([node.id])
    settler.close()
    bot.care()
    assert ivan.last.text == "phone: the server does not answer now. The config comes as soon as it is back."
    assert ivan.files("document") == []
    node.fake.down = False
    jobs.run(bot.app, "sync")
    bot.care()
    assert len(ivan.files("document")) == 1


def test_the_same_config_can_be_had_again(bot, serve, ivan, admin):
    serve("fi")
    bot.join(ivan, admin)
    bot.say(ivan, "/get_config")
    bot.press(ivan, "Tablet")
    bot.say(ivan, "/get_config")
    bot.press(ivan, "tablet · fi")
    first, again = ivan.files("document")
    assert first == again


def test_a_second_phone_gets_a_name_of_its_own_and_the_plan_limits_devices(bot, serve, ivan, admin):
    serve("fi")
    offer(bot.app)
    bot.join(ivan, admin)
    subscriptions.grant(bot.app, "tg501", "month")
    for _ in range(2):
        bot.say(ivan, "/get_config")
        if "New device" in " ".join(ivan.last.labels()):
            bot.press(ivan, "New device")
        bot.press(ivan, "Phone")
    assert sorted(each.device for each in devices(bot.app)) == ["phone", "phone-2"]
    bot.say(ivan, "/get_config")
    assert "Devices: 2 of 2" in bot.press(ivan, "New device"), "it is said before anything is chosen"
    assert len(devices(bot.app)) == 2


def test_keys_are_not_kept_where_the_setting_says_so(shop, api, serve, ivan, admin):
    serve("fi")
    bot = make_bot(replace(shop, settings=replace(shop.settings, client_secrets="discard")), api)
    bot.join(ivan, admin)
    bot.say(ivan, "/get_config")
    bot.press(ivan, "Phone")
    assert (len(ivan.files("document")), len(ivan.files("photo"))) == (1, 1)
    with shop.store.read() as tx:
        assert tx.one(Peer).secret_sealed is None
    bot.say(ivan, "/get_config")
    assert "is not kept here" in bot.press(ivan, "phone · fi")
    bot.press(ivan, "New keys")
    bot.press(ivan, "New keys now")
    assert len(ivan.files("document")) == 2


def test_with_the_setting_on_every_config_waits_for_an_admin(shop, api, serve, ivan, admin):
    serve("fi")
    bot = make_bot(replace(shop, settings=replace(shop.settings, approve_configs=True)), api)
    bot.join(ivan, admin)
    bot.say(ivan, "/get_config")
    assert "was sent to an admin" in bot.press(ivan, "Phone")
    assert devices(shop) == []
    assert admin.last.text == "Ivan @ivan (tg501) asks for a new device: phone."
    bot.press(admin, "Grant")
    assert len(ivan.files("document")) == 1
    _ask_regen(bot, ivan)
    bot.press(ivan, "New keys now")
    bot.press(admin, "Refuse")
    bot.press(admin, "Without a reason")
    assert "declined: new keys for phone" in ivan.last.text
    assert len(ivan.files("document")) == 1


def test_a_request_can_be_decided_on_the_command_line(shop, api, serve, ivan, admin, cli):
    serve("fi")
    bot = make_bot(replace(shop, settings=replace(shop.settings, approve_configs=True)), api)
    bot.join(ivan, admin)
    bot.say(ivan, "/get_config")
    bot.press(ivan, "Phone")
    assert "requests to decide: 1" in cli("status").out
    (row,) = cli("request", "list", "--json").json
    assert (row["user"], row["kind"], row["details"]["device"]) == ("tg501", "device", "phone")
    assert cli("request", "grant", row["id"][:8]).code == 0
    assert cli("request", "refuse", row["id"][:8]).code == 5
    bot.care()
    assert len(ivan.files("document")) == 1


def test_status_and_traffic_show_what_was_observed(bot, serve, ivan, admin, clock):
    node = serve("fi")
    offer(bot.app)
    bot.join(ivan, admin)
    subscriptions.grant(bot.app, "tg501", "month")
    bot.say(ivan, "/get_config")
    bot.press(ivan, "Phone")
    assert "• phone, fi: working, never used" in bot.say(ivan, "/status")
    (row,) = node.fake.people()
    jobs.run(bot.app, "usage")
    row[2:5] = [str(int(clock().timestamp())), str(3 * 2**30), str(2**30)]
    jobs.run(bot.app, "usage")
    assert "• phone, fi: working, online" in bot.press(ivan, "Refresh")
    text = bot.say(ivan, "/stats")
    assert "Traffic of this month: 4.0 GiB" in text
    assert "96.0 GiB of 100.0 GiB are left" in text
    assert "January 2027: ⬇️ 1.0 GiB ⬆️ 3.0 GiB" in text


def test_help_says_for_every_platform_what_to_do(bot, ivan, admin, clock):
    bot.join(ivan, admin)
    for title in ("Windows", "iPhone", "Android", "macOS", "Linux"):
        clock.forward(seconds=5)
        bot.say(ivan, "/help")
        assert "1. Install" in bot.press(ivan, title)
        assert ivan.last.rows[0][0]["url"].startswith("https://")


def test_menus_are_edited_in_place(bot, ivan, admin):
    bot.join(ivan, admin)
    bot.say(ivan, "/start")
    count = len(ivan.messages)
    bot.press(ivan, "Help")
    bot.press(ivan, "Android")
    bot.press(ivan, "Menu")
    assert len(ivan.messages) == count
    assert "Your VPN" in ivan.last.text


def test_an_old_menu_is_renewed_and_a_menu_that_cannot_be_edited_is_sent_anew(bot, ivan, admin, clock, api):
    bot.join(ivan, admin)
    bot.say(ivan, "/start")
    clock.forward(minutes=16)
    key = ivan.press("Help")
    bot.pump()
    assert api.answers[key]["text"] == "That menu was old; here it is anew."
    assert "Your VPN" in ivan.last.text
    token = ivan.last.rows[0][0]["callback_data"]
    api.chats[501].clear()
    ivan.tap(token)
    bot.pump()
    assert len(ivan.messages) == 1


def test_an_invitation_lets_one_person_in_as_the_named_user(bot, ivan, api, cli):
    users.add(bot.app, ["alice"])
    run = cli("user", "invite", "alice")
    assert run.out.startswith("https://t.me/lab_vpn_bot?start=")
    code = run.out.strip().partition("start=")[2]
    assert "Your VPN" in bot.say(ivan, f"/start {code}")
    assert person(bot.app, "alice").telegram_id == 501
    other = api.person(502, "Petr")
    assert "does not work" in bot.say(other, f"/start {code}")
    assert cli("user", "invite", "alice").code == 5
    assert cli("user", "invite", "nobody").code == 5
    assert cli("user", "invite", "--days", "91").code == 2


def test_an_invitation_for_somebody_new_makes_a_user_who_is_let_in(bot, ivan, cli, clock):
    code = cli("user", "invite", "--json").json["code"]
    assert "Your VPN" in bot.say(ivan, f"/start {code}")
    assert person(bot.app, "tg501").approved_at is not None
    late = cli("user", "invite", "--days", "1", "--json").json["code"]
    clock.forward(days=1)
    other = bot.api.person(502, "Petr")
    assert "does not work" in bot.say(other, f"/start {late}")


def test_an_admin_adds_extends_suspends_and_lets_connect_again(bot, serve, admin, second, ivan):
    node = serve("fi")
    offer(bot.app)
    text = bot.say(admin, "/add_user ivan")
    link = text.splitlines()[-1]
    bot.say(ivan, f"/start {link.partition('start=')[2]}")
    assert person(bot.app, "ivan").telegram_id == 501
    bot.say(admin, "/users iva")
    bot.press(admin, "ivan")
    bot.press(admin, "Give a plan")
    assert "Access: month" in bot.press(admin, "Month")
    bot.press(admin, "+ 7 days")
    assert "Until: 21 Feb 2027, 12:00 UTC" in admin.last.text
    bot.say(ivan, "/get_config")
    bot.press(ivan, "Phone")
    assert node.fake.live_keys()
    bot.press(admin, "Suspend")
    bot.press(admin, "Suspend now")
    assert "State: suspended" in admin.last.text
    assert not node.fake.live_keys()
    assert bot.say(ivan, "/get_config") == "Access denied."
    bot.press(admin, "Let connect again")
    assert node.fake.live_keys()
    told = [each.text for each in second.messages]
    assert "Olga: suspended ivan" in told, "every act is told to the other admins"
    assert "Olga: gave ivan more time: 7 days" in told


def test_admins_see_servers_and_what_waits(bot, serve, admin, ivan):
    node = serve("fi")
    assert "fi: ⚪️ not checked yet, devices: 0, online: 0" in bot.say(admin, "/nodes")
    bot.say(ivan, "/start")
    bot.press(ivan, right_picture(bot.app, ivan))
    assert "people who wait for approval: 1" in bot.say(admin, "/pending")
    bot.press(admin, "tg501")
    assert "waits for approval" in admin.last.text
    bot.press(admin, "Let in")
    node.fake.down = True
    jobs.run(bot.app, "health")
    bot.say(admin, "/nodes")


def test_pages_of_people(bot, admin):
    users.add(bot.app, [f"u{number:02}" for number in range(19)])
    bot.say(admin, "/users")
    seen = []
    while True:
        seen += [label for label in admin.last.labels() if label.startswith("u")]
        if "Next ›" not in admin.last.labels():
            break
        bot.press(admin, "Next")
    assert seen == [f"u{number:02}" for number in range(19)]


def test_a_lockdown_silences_everything_and_holds_configs_back(bot, serve, ivan, admin, cli):
    serve("fi")
    bot.join(ivan, admin)
    bot.say(ivan, "/get_config")
    ivan.press("Phone")
    bot.fetch()
    bot.handle()
    assert cli("bot", "lockdown").code == 0
    bot.care()
    assert ivan.files("document") == []
    assert "closed for now" in bot.say(ivan, "/start")
    assert "closed for now" in bot.say(admin, "/users")
    assert "locked" in cli("status").out
    assert cli("bot", "show", "--json").json["locked_since"]
    assert cli("bot", "unlock").code == 0
    bot.care()
    assert len(ivan.files("document")) == 1
    lockdown.lock(bot.app)
    lockdown.unlock(bot.app)


def test_reminders_come_in_the_persons_language(bot, ivan, admin, clock):
    offer(bot.app)
    bot.join(ivan, admin)
    bot.say(ivan, "/language")
    bot.press(ivan, "Русский")
    subscriptions.grant(bot.app, "tg501", "month")
    jobs.run(bot.app, "remind")
    clock.forward(days=28)
    jobs.run(bot.app, "remind")
    bot.care()
    assert ivan.last.text == "Подписка «Month» заканчивается 14 февр. 2027, 12:00 UTC."


@pytest.mark.parametrize("kind", ["device", "plan"])
def test_the_same_wish_is_asked_once(bot, ivan, admin, kind):
    offer(bot.app)
    bot.join(ivan, admin)
    app = replace(bot.app, settings=replace(bot.app.settings, approve_configs=True))
    details = {"device": "phone", "protocol": "wireguard"} if kind == "device" else {"plan": "month"}
    for _ in range(3):
        assert requests.want(app, person(app, "tg501"), kind, details).waits
    with app.store.read() as tx:
        assert tx.execute(models.request.select()).all().__len__() == 1


def test_an_erased_person_leaves_nothing_in_the_bots_tables(bot, serve, ivan, admin):
    serve("fi")
    offer(bot.app)
    bot.join(ivan, admin)
    subscriptions.grant(bot.app, "tg501", "month")
    bot.say(ivan, "/plans")
    bot.press(ivan, "Month")
    users.remove(bot.app, "tg501", erase=True)
    with bot.app.store.read() as tx:
        assert tx.execute(models.inbox.select().where(models.inbox.c.chat_id == 501)).all() == []
        assert tx.execute(models.button.select().where(models.button.c.owner == 501)).all() == []
        assert tx.execute(models.draft.select()).all() == []
        assert tx.execute(models.applicant.select().where(models.applicant.c.telegram_id == 501)).all() == []
        texts = str(tx.execute(models.notice.select()).all())
        assert "Ivan" not in texts
        assert tx.one(User).telegram_id is None


def test_what_a_handler_did_is_undone_when_it_fails(bot, serve, ivan, admin, monkeypatch):
    serve("fi")
    bot.join(ivan, admin)
    bot.say(ivan, "/get_config")

    def broken(*_args):
        raise Conflict("no")

    monkeypatch.setattr("vpnctl.actions.talk.handover.send", broken)
    assert "nothing was changed" in bot.press(ivan, "Phone")
    assert devices(bot.app) == []
    assert bot.nodes == set()
