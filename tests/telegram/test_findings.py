"""Bugs that fresh eyes found, each named for what was wrong."""

from __future__ import annotations

import socket
import threading
from dataclasses import replace

import pytest

from tests.telegram.conftest import ADMIN, make_bot
from tests.telegram.test_journeys import devices, offer, person
from vpnctl import jobs
from vpnctl.actions.people import users
from vpnctl.actions.sales import subscriptions
from vpnctl.actions.talk import delivery, requests, updates
from vpnctl.errors import Busy, Conflict
from vpnctl.remote import http
from vpnctl.store import models, outbox
from vpnctl.store.outbox import TECH, USER, Message
from vpnctl.store.rows import Notice, Peer, User
from vpnctl.store.talk_rows import Received


@pytest.fixture
def inside(bot, serve, ivan, admin):
    bot.node = serve("fi")
    bot.join(ivan, admin)
    return bot


def connect(bot, person_, kind="📱"):
    bot.say(person_, "/get_config")
    if any("➕" in label for label in person_.last.labels()):
        bot.press(person_, "➕")
    bot.press(person_, kind)


def notices(app, **where):
    with app.store.read() as tx:
        return [row for row in tx.all(Notice) if all(getattr(row, key) == value for key, value in where.items())]


def test_a_request_is_decided_by_the_whole_id_that_the_list_shows(inside, ivan, cli):
    offer(inside.app)
    requests.want(inside.app, person(inside.app, "tg501"), requests.PLAN, {"plan": "month"})
    (row,) = cli("request", "list", "--json").json
    assert cli("request", "grant", "x; drop").code == 2
    assert cli("request", "grant", row["id"]).code == 0


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
    assert "phone" in admin.last.text


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


def test_a_notice_that_cannot_be_made_holds_back_none_of_the_others(inside, ivan, admin):
    with inside.app.store.write() as tx:
        outbox.enqueue(tx, [Message(TECH, "drift", "x", "k", {"node": "fi"}, to=-99)], inside.app.clock())
        later = [Message(USER, "news", "y", "k", {"text": "hello"}, person(inside.app, "tg501").id)]
        outbox.enqueue(tx, later, inside.app.clock())
    inside.care()
    assert ivan.last.text == "hello"
    (broken,) = notices(inside.app, kind="drift")
    assert (broken.tries, broken.sent_at) == (1, None)
    assert "KeyError" in broken.error
    assert delivery._lease(inside.app), "the lease was given back"


def test_an_answer_that_is_cut_off_is_no_exception():
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n20\r\n{"
            for body in (chunked, b"nonsense\r\n\r\n"):
                connection, _ = server.accept()
                asked = b""
                while not asked.endswith(b"{}"):  # closing with something unread would reset the connection
                    asked += connection.recv(65536)
                connection.sendall(body)
                connection.close()

        threading.Thread(target=answer, daemon=True).start()
        for _ in range(2):
            with pytest.raises(OSError, match="no whole answer"):
                http.post(f"http://127.0.0.1:{server.getsockname()[1]}/", {})


def test_one_chat_that_is_full_holds_up_nobody_else(inside, ivan, admin, api, clock):
    full = {"ok": False, "error_code": 429, "description": "Too Many Requests", "parameters": {"retry_after": 600}}
    users.add(inside.app, ["bob"], telegram_id=502)
    bob = api.person(502, "Bob")
    for number in range(3):
        for name in ("tg501", "bob"):
            with inside.app.store.write() as tx:
                message = Message(
                    USER, "news", f"{name}{number}", "k", {"text": f"{number}"}, person(inside.app, name).id
                )
                outbox.enqueue(tx, [message], clock())
    api.fail("sendMessage", 429, full)
    inside.care()
    counts = sorted(
        (len([m for m in ivan.messages if m.text.isdigit()]), len([m for m in bob.messages if m.text.isdigit()]))
    )
    assert counts == [0, 3]
    clock.forward(seconds=601)
    inside.care()
    assert sorted(m.text for m in ivan.messages if m.text.isdigit()) == ["0", "1", "2"]


def test_a_lockdown_stops_a_config_that_was_chosen_already(inside, ivan, monkeypatch):
    from vpnctl.actions.talk import lockdown

    inside.say(ivan, "/get_config")
    ivan.press("Phone")
    inside.fetch()
    inside.handle()
    with inside.app.store.read() as tx:
        node_ids = [row.id for row in tx.execute(models.node.select())]
    inside.nodes |= set(node_ids)
    real = delivery._waiting

    def locked_after_the_choice(tx, now, only=""):
        found = real(tx, now, only)
        if found and not only and not lockdown.since(tx):
            threading.Thread(target=lockdown.lock, args=(inside.app,)).start()
            import time

            time.sleep(0.3)
        return found

    monkeypatch.setattr(delivery, "_waiting", locked_after_the_choice)
    inside.care()
    assert ivan.files("document") == []


def test_a_key_that_is_not_to_be_kept_is_forgotten_also_when_the_picture_was_refused(shop, api, serve, ivan, admin):
    serve("fi")
    bot = make_bot(replace(shop, settings=replace(shop.settings, client_secrets="discard")), api)
    bot.join(ivan, admin)
    api.fail("sendPhoto", 400, {"ok": False, "error_code": 400, "description": "Bad Request: PHOTO_INVALID"})
    connect(bot, ivan)
    assert len(ivan.files("document")) == 1
    with shop.store.read() as tx:
        assert tx.one(Peer).secret_sealed is None


def test_a_config_that_never_becomes_ready_ends_after_a_month(inside, ivan, clock):
    inside.node.fake.down = True
    inside.say(ivan, "/get_config")
    inside.press(ivan, "Phone")
    clock.forward(days=31)
    inside.care()
    assert {row.error for row in notices(inside.app, kind="config_file")} == {"too late to be of use"}


def test_an_admin_cannot_be_suspended_by_button_and_stays_an_admin(inside, admin, second):
    users.add(inside.app, ["petr"], telegram_id=second.number)
    inside.say(admin, "/users petr")
    inside.press(admin, "petr")
    inside.press(admin, "Suspend")
    assert "command line only" in inside.press(admin, "Suspend now")
    users.block(inside.app, "petr")
    assert "People" in inside.say(second, "/users")


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


def test_an_update_that_another_bot_handled_is_undone_here(inside, ivan):
    ivan.say("/start")
    inside.fetch()
    row = updates.take(inside.app, ())
    with inside.app.store.write() as tx:
        updates.handled(tx, row, inside.app.clock(), None)
    with pytest.raises(Busy), inside.app.store.write() as tx:
        updates.handled(tx, row, inside.app.clock(), None)


def test_a_busy_database_never_makes_an_update_be_given_up(inside, ivan, monkeypatch, clock):
    ivan.say("/start")
    inside.fetch()

    def busy(*_args):
        raise Busy("locked")

    with monkeypatch.context() as patch:
        patch.setattr("bot.dispatcher.handle", busy)
        for _ in range(20):
            inside.handle()
            clock.forward(seconds=3)
    count = len(ivan.messages)
    inside.handle()
    assert len(ivan.messages) == count + 1


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


def test_a_device_that_is_not_cut_yet_is_said_to_be_being_cut(inside, ivan, clock):
    connect(inside, ivan)
    inside.node.fake.down = True
    with inside.app.store.write() as tx:
        tx.update(Peer, suspended_at=clock(), present_at=None, absent_at=None)
    clock.forward(seconds=20)
    assert "phone, fi: being cut" in inside.say(ivan, "/status")


def test_two_phones_asked_for_while_both_wait_are_two(shop, api, serve, ivan, admin):
    serve("fi")
    bot = make_bot(replace(shop, settings=replace(shop.settings, approve_configs=True)), api)
    bot.join(ivan, admin)
    for _ in range(2):
        connect(bot, ivan)
    for _ in range(2):
        bot.press(
            admin,
            "Grant",
            message=next(each for each in reversed(admin.messages) if "asks for" in each.text and each.rows),
        )
    assert sorted(each.device for each in devices(shop)) == ["phone", "phone-2"]


def test_turning_away_twice_says_who_did(bot, ivan, admin, cli):
    from tests.telegram.conftest import right_picture

    bot.say(ivan, "/start")
    bot.press(ivan, right_picture(bot.app, ivan))
    assert cli("user", "reject", "tg501").code == 0
    run = cli("user", "reject", "tg501")
    assert (run.code, "turned away already" in run.err) == (5, True)


def test_one_nodes_nonsense_keeps_no_other_node_from_being_read(bot, serve, monkeypatch):
    serve("fi")
    serve("de")
    from vpnctl.actions.fleet import metering

    real = metering._read

    def broken(app, node):
        if node.name == "de":
            raise ZeroDivisionError
        real(app, node)

    monkeypatch.setattr(metering, "_read", broken)
    found = {each.node: each.code for each in metering.sweep(bot.app)}
    assert found == {"de": 1, "fi": 0}


def test_the_bots_unit_alerts_and_is_never_given_up(cli, settings):
    from vpnctl.jobs import timers

    text = timers.units("/usr/bin/vpnctl", settings.key_file, "root", bot=True)["vpnctl-bot.service"]
    assert "StartLimitIntervalSec=0" in text
    assert "OnFailure=vpnctl-alert@bot.service" in text
    cli("init", "--yes")
    assert cli("jobs", "failed", "bot").code == 0
    assert "journalctl -u vpnctl-bot" in cli("notice", "list").out


def test_a_failed_part_of_a_joint_transaction_is_undone_and_the_rest_stays(app):
    with app.store.joint() as store:
        joint = replace(app, store=store)
        users.add(joint, ["alice"])
        with pytest.raises(Conflict):
            users.add(joint, ["bob", "alice"])
    with app.store.read() as tx:
        assert [row.name for row in tx.all(User)] == ["alice"]
        assert len(tx.execute(models.event.select().where(models.event.c.verb == "user.add")).all()) == 1
    with pytest.raises(RuntimeError), app.store.joint() as store:
        users.add(replace(app, store=store), ["carol"])
        raise RuntimeError
    with app.store.read() as tx:
        assert [row.name for row in tx.all(User)] == ["alice"]
        assert tx.all(Received) == []


def test_moving_to_and_fro_leaves_two_generations_of_a_device_and_the_one_in_use_lives(bot, serve, ivan, admin, clock):
    offer(bot.app, "plans:\n  - {name: month, days: 30, devices: 1}\n")
    nodes = {name: serve(name) for name in ("fi", "de", "nl")}
    bot.join(ivan, admin)
    subscriptions.grant(bot.app, "tg501", "month")
    connect(bot, ivan)
    first = devices(bot.app)[0]
    for target in ("de", "nl", "fi", "de", "nl"):
        clock.forward(minutes=20)
        bot.say(ivan, "/server")
        if not any(label.startswith("📍 ") and target in label for label in ivan.last.labels()):
            bot.press(ivan, target)
            bot.press(ivan, "✅ Move")
    assert sum(len(each.fake.live_keys()) for each in nodes.values()) == 2
    assert first.public_key in nodes[first.node].fake.live_keys(), "no later one was used"
    with bot.app.store.read() as tx:
        (old,) = tx.all(Peer, models.peer.c.retiring_at.is_not(None), models.peer.c.revoked_at.is_(None))
        (new,) = tx.all(Peer, models.peer.c.retiring_at.is_(None), models.peer.c.revoked_at.is_(None))
    assert (old.identity, new.replaces_id) == (first.public_key, old.id)
    node = next(each for each in nodes.values() if new.identity in each.fake.live_keys())
    node.fake.links["wg0"].peers[new.identity][2] = str(int(clock().timestamp()))
    jobs.run(bot.app, "usage")
    jobs.run(bot.app, "sync")
    assert sum(len(each.fake.live_keys()) for each in nodes.values()) == 1


def test_a_move_after_the_new_one_was_used_ends_what_is_older(bot, serve, ivan, admin, clock):
    nodes = {name: serve(name) for name in ("fi", "de", "nl")}
    bot.join(ivan, admin)
    connect(bot, ivan)
    seen = []
    for _ in range(2):
        clock.forward(minutes=20)
        bot.say(ivan, "/server")
        bot.press(ivan, next(label for label in ivan.last.labels() if label in nodes and label not in seen))
        bot.press(ivan, "✅ Move")
        with bot.app.store.write() as tx:
            tx.update(
                Peer, models.peer.c.retiring_at.is_(None), models.peer.c.revoked_at.is_(None), handshake_at=clock()
            )
        seen.append(devices(bot.app)[-1].node)
    assert sum(len(each.fake.live_keys()) for each in nodes.values()) == 2


def test_a_log_that_cannot_be_written_and_odd_error_codes_stop_no_worker(shop, api, ivan):
    from bot import run as running

    def log(text):
        if "listening" not in text and "stopping" not in text:
            raise OSError(28, "No space left on device")

    stop = threading.Event()
    thread = threading.Thread(target=lambda: running.run(shop, log, stop=stop))
    thread.start()
    for code in ("500", None, [], 500):
        api.fail("sendMessage", 500, {"ok": False, "error_code": code, "description": "x"})
    for number in range(5):
        api.person(900 + number).say("/start")
    ivan.say("/start")
    ivan.wait("Press the picture")
    assert sum(each.name.startswith("updates") for each in threading.enumerate()) == running.WORKERS
    stop.set()
    thread.join(30)


def test_a_thread_that_dies_ends_the_bot_so_that_it_is_started_again(shop, api, monkeypatch):
    from bot import run as running
    from bot.dispatcher import Dispatcher
    from vpnctl.errors import VpnctlError

    monkeypatch.setattr(running, "WATCH", 0.1)
    monkeypatch.setattr(Dispatcher, "work", lambda _self: None)
    with pytest.raises(VpnctlError, match="a part of the bot died"):
        running.run(shop, lambda _text: None)


def test_a_token_that_is_being_renewed_costs_no_message(inside, ivan, api, clock):
    ivan.say("/get_config")
    unknown = {"ok": False, "error_code": 401, "description": "Unauthorized"}
    api.fail("*", 401, unknown, times=3)
    for _ in range(4):
        inside.pump()
        clock.forward(minutes=1)
    inside.press(ivan, "📱")
    assert len(ivan.files("document")) == 1


@pytest.mark.parametrize("status", [401, 403, 404, 414])
def test_a_page_of_some_proxy_is_no_word_of_telegrams(inside, ivan, api, clock, status):
    inside.say(ivan, "/get_config")
    api.fail("sendDocument", status, b"<html>nginx</html>")
    inside.press(ivan, "📱")
    assert ivan.files("document") == []
    clock.forward(minutes=2)
    inside.care()
    assert len(ivan.files("document")) == 1
    assert person(inside.app, "tg501").bot_blocked_at is None


def test_a_page_of_some_proxy_does_not_end_the_bot(shop, api, ivan):
    from bot import run as running

    api.fail("getUpdates", 404, b"<html>nginx</html>")
    stop = threading.Event()
    thread = threading.Thread(target=lambda: running.run(shop, lambda _text: None, stop=stop))
    thread.start()
    ivan.say("/start")
    ivan.wait("Press the picture")
    stop.set()
    thread.join(30)


@pytest.mark.parametrize(
    "result",
    [
        [],
        {},
        None,
        [{"x": 1}],
        [{"update_id": -5}],
        [{"update_id": "x"}],
        [{"update_id": None}, 5],
        [{"update_id": 2**70}],
    ],
)
def test_nonsense_instead_of_updates_neither_ends_nor_spins_the_bot(shop, api, ivan, result):
    from bot import run as running

    api.fail("getUpdates", 200, {"ok": True, "result": result}, times=2)
    stop = threading.Event()
    thread = threading.Thread(target=lambda: running.run(shop, lambda _text: None, stop=stop))
    thread.start()
    ivan.say("/start")
    ivan.wait("Press the picture")
    assert len(api.failures) == 1
    stop.set()
    thread.join(30)


def test_what_failed_behind_the_commit_is_not_called_undone(inside, admin):
    def full(_rows):
        raise OSError(28, "No space left on device")

    users.add(inside.app, ["bob"])
    inside.say(admin, "/users bob")
    inside.press(admin, "bob")
    inside.press(admin, "Suspend")
    inside.app.store.journal = full
    assert "State: suspended" in inside.press(admin, "Suspend now")
    inside.app.store.journal = None


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


def test_a_config_outlives_an_outage_of_telegram(inside, ivan, api, clock):
    inside.say(ivan, "/get_config")
    api.fail("sendDocument", 0, times=9)
    ivan.press("📱")
    inside.pump()
    for _ in range(12):
        clock.forward(minutes=20)
        inside.care()
    assert len(ivan.files("document")) == 1


def test_texts_go_in_the_body_whatever_their_length(inside, ivan, clock):
    offer(
        inside.app,
        "plans:\n" + "".join(f"  - {{name: p{number:02}, title: {'Я' * 60}, days: 30}}\n" for number in range(30)),
    )
    assert "Plans" in inside.say(ivan, "/plans")


def test_the_token_is_hidden_before_a_text_is_cut(inside):
    from tests.telegram.server import TOKEN
    from vpnctl.remote.telegram import judge
    from vpnctl.rules.secret import Secret

    for text in ("x" * 262 + TOKEN, TOKEN.replace(":", "%3A")):
        why = judge(400, {"ok": False, "description": text}, Secret(TOKEN)).why
        assert TOKEN.rpartition(":")[2][:20] not in why


def test_a_lease_that_another_took_is_not_freed(shop):
    assert delivery._lease(shop)
    later = replace(shop, run_id="another")
    shop.clock.forward(minutes=2)
    assert delivery._lease(later)
    delivery._release(shop, 0)
    assert not delivery._lease(shop)


def test_a_reply_that_cannot_be_noted_is_not_sent_again(inside, ivan, monkeypatch, clock):
    ivan.say("/start")
    inside.fetch()
    real, count = updates.answered, []

    def locked(*args):
        count.append(1)
        if len(count) < 4:
            raise Busy("locked")
        real(*args)

    monkeypatch.setattr("bot.dispatcher.updates.answered", locked)
    before = len(ivan.messages)
    for _ in range(6):
        inside.handle()
        clock.forward(seconds=5)
    assert len(ivan.messages) == before + 1


def test_a_suspended_device_is_said_to_be_suspended(inside, ivan, cli, clock):
    connect(inside, ivan)
    clock.forward(seconds=20)
    assert cli("peer", "suspend", "tg501/phone").code == 0
    inside.say(ivan, "/get_config")
    assert "phone is suspended" in inside.press(ivan, "phone · fi")


def test_a_config_is_not_sent_after_access_has_ended(inside, ivan, clock):
    offer(inside.app)
    subscriptions.grant(inside.app, "tg501", "month")
    inside.say(ivan, "/get_config")
    ivan.press("📱")
    inside.fetch()
    inside.handle()
    from vpnctl.actions.fleet.settle import settle

    settle(inside.app, inside.nodes)
    clock.forward(days=30, minutes=6)
    delivery.deliver(inside.app)
    assert ivan.files("document") == []


def test_what_was_chosen_and_is_not_sold_any_more_is_not_gone_on_with(bot, ivan, admin):
    offer(bot.app)
    bot.join(ivan, admin)
    bot.say(ivan, "/plans")
    bot.press(ivan, "Month")
    with bot.app.store.write() as tx:
        tx.execute(models.plan.update().values(on_sale=False))
    bot.say(ivan, "/start")
    assert not any("Go on" in label for label in ivan.last.labels())


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
