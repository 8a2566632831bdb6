"""What Telegram, a proxy, the disk or the database does to the bot costs no update and no message."""

from __future__ import annotations

import socket
import threading
from dataclasses import replace

import pytest

from tests.telegram.phone import notices
from tests.telegram.test_journeys import offer, person
from vpnctl.actions.people import users
from vpnctl.actions.talk import delivery, updates
from vpnctl.errors import Busy
from vpnctl.remote import http
from vpnctl.store import outbox
from vpnctl.store.outbox import TECH, USER, Message


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
