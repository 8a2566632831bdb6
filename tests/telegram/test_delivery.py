"""Nothing is lost and nothing done twice: crashes at every step, Telegram in every kind of trouble."""

from __future__ import annotations

import contextlib

import pytest
import requests

from bot.dispatcher import Dispatcher
from tests.telegram.conftest import make_bot
from tests.telegram.server import TOKEN
from tests.telegram.test_journeys import devices, offer
from vpnctl.actions.people import users
from vpnctl.actions.talk import updates
from vpnctl.errors import Busy
from vpnctl.store import models
from vpnctl.store.engine import Store
from vpnctl.store.rows import Subscription, User
from vpnctl.store.talk_rows import Received


@pytest.fixture
def inside(bot, serve, ivan, admin):
    serve("fi")
    bot.join(ivan, admin)
    return bot


def inbox(app):
    with app.store.read() as tx:
        return tx.all(Received, order=models.inbox.c.seq)


def test_an_update_that_comes_twice_is_handled_once(inside, ivan):
    number = ivan.say("/start")
    ivan.api.queue.append(ivan.api.queue[-1])
    inside.pump()
    assert [row.update_id for row in inbox(inside.app)].count(number) == 1


def test_an_update_that_was_not_confirmed_is_handled_once_after_a_restart(inside, ivan, api):
    ivan.say("/start")
    count = len(ivan.messages)
    queue = list(api.queue)
    inside.pump()
    api.queue.extend(queue)
    make_bot(inside.app, api).pump()
    assert len(ivan.messages) == count + 1


class Killed(BaseException):
    """The process died here."""


def die_at(monkeypatch, number, after):
    """Die before, or right after, the commit of the n-th writing transaction; return what says whether it came to that."""
    from contextlib import contextmanager

    real, count = Store.write, [0]

    @contextmanager
    def write(self):
        count[0] += 1
        with real(self) as tx:
            yield tx
            if count[0] == number and not after:
                raise Killed
        if count[0] == number and after:
            raise Killed

    monkeypatch.setattr(Store, "write", write)
    return lambda: count[0] >= number


@pytest.mark.parametrize("after", [False, True], ids=["before commit", "after commit"])
def test_killed_at_every_transaction_nothing_is_lost_and_nothing_done_twice(
    inside, ivan, api, monkeypatch, after, clock
):
    """A new device: the update is stored, handled, answered; the node settled, two messages sent."""
    number, died = 0, True
    while died:
        number += 1
        clock.forward(hours=2)
        before, files = {each.device for each in devices(inside.app)}, len(ivan.files("document"))
        inside.say(ivan, "/get_config")
        if before:
            inside.press(ivan, "New device")
        ivan.press("TV")
        with monkeypatch.context() as patch:
            came = die_at(patch, number, after)
            with contextlib.suppress(Killed):
                make_bot(inside.app, api).pump()
            died = came()
        clock.forward(minutes=3)  # the lease of a killed sender runs out
        again = make_bot(inside.app, api)
        again.pump()
        with inside.app.store.read() as tx:
            from vpnctl.store.queue import pending_nodes

            again.nodes |= set(pending_nodes(tx, clock()))
        again.care()
        made = {each.device for each in devices(inside.app)} - before
        assert len(made) == 1, number
        assert all(each.state == "active" for each in devices(inside.app)), number
        assert files + 1 <= len(ivan.files("document")) <= files + 2, (
            "at most one repeated, killed between send and note"
        )
        assert len({content for _, content in ivan.files("document")}) == len(devices(inside.app))
        (device,) = made
        told = [each.text for each in ivan.messages if f"The config of {device} comes here" in each.text]
        assert len(told) == 1, "the reply came, though it was handled before"
        assert updates.take(inside.app, ()) is None
    assert number > 5


def test_a_reply_that_was_not_sent_is_sent_after_the_restart(inside, ivan, api, monkeypatch):
    def die(*_args):
        raise Killed

    ivan.say("/start")
    inside.fetch()
    with monkeypatch.context() as patch:
        patch.setattr(Dispatcher, "_answer", die)
        with pytest.raises(Killed):
            inside.handle()
    count = len(ivan.messages)
    make_bot(inside.app, api).pump()
    assert [each.text.split("\n")[0] for each in ivan.messages[count:]] == ["Your VPN"]


@pytest.mark.parametrize(
    ("status", "body"),
    [(0, None), (502, b"<html>Bad Gateway</html>"), (200, b"not json"), (500, {"description": "no ok"}), (500, {"ok": False, "error_code": 500, "description": "Internal"}), (200, b"[]")],
    ids=["reset", "502", "no json", "no ok", "500", "a list"],
)  # fmt: skip
def test_a_reply_is_tried_again_whatever_telegram_answers(inside, ivan, api, clock, status, body):
    api.fail("sendMessage", status, body, times=2)
    count = len(ivan.messages)
    ivan.say("/start")
    for _ in range(4):
        inside.pump()
        clock.forward(seconds=10)
    assert len(ivan.messages) == count + 1
    assert TOKEN not in str(inside.log)


def test_too_many_requests_hold_that_reply_as_long_as_telegram_says_and_nobody_elses(inside, ivan, admin, api, clock):
    api.fail(
        "sendMessage",
        429,
        {"ok": False, "error_code": 429, "description": "Too Many Requests", "parameters": {"retry_after": 3600}},
    )
    inside.dispatcher.rate_limit.pause = lambda seconds: None
    count = len(ivan.messages)
    ivan.say("/start")
    inside.pump()
    assert "People" in inside.say(admin, "/users")
    ivan.say("/help")
    clock.forward(seconds=3500)
    inside.pump()
    assert len(ivan.messages) == count, "and what came later in the same chat waits behind it"
    clock.forward(seconds=101)
    inside.pump()
    assert [each.text.split("\n")[0] for each in ivan.messages[count:]] == ["Your VPN", "Help"]


def test_who_blocked_the_bot_is_noted_and_unnoted_when_they_come_back(inside, ivan, api):
    api.blocked.add(501)
    inside.say(ivan, "/start")
    with inside.app.store.read() as tx:
        assert tx.one(User).bot_blocked_at is not None
    api.blocked.clear()
    inside.say(ivan, "/start")
    with inside.app.store.read() as tx:
        assert tx.one(User).bot_blocked_at is None


def test_an_outage_of_a_day_ends_in_giving_up_and_hangs_nothing(inside, ivan, api, clock):
    api.fail("*", 0, times=10_000)
    ivan.say("/start")
    for _ in range(40):
        inside.pump()
        clock.forward(minutes=36)
    assert inbox(inside.app)[-1].answered_at is not None
    api.failures.clear()
    assert "Your VPN" in inside.say(ivan, "/start")


def test_a_menu_that_is_the_same_already_is_no_trouble(inside, ivan, api, clock):
    inside.say(ivan, "/start")
    api.fail(
        "editMessageText", 400, {"ok": False, "error_code": 400, "description": "Bad Request: message is not modified"}
    )
    count = len(ivan.messages)
    inside.press(ivan, "Help")
    assert (len(ivan.messages), inside.log) == (count, [])


def test_html_that_telegram_cannot_read_is_sent_as_plain_text(inside, ivan, api):
    api.fail(
        "sendMessage", 400, {"ok": False, "error_code": 400, "description": "Bad Request: can't parse entities: x"}
    )
    assert inside.say(ivan, "/start").startswith("Your VPN")
    assert "parse_mode" not in api.methods("sendMessage")[-1].params


def test_an_answer_that_comes_too_late_does_not_keep_the_menu_from_changing(inside, ivan, api):
    inside.say(ivan, "/start")
    key = ivan.press("Help")
    del api.presses[key]
    inside.pump()
    assert "Help" in ivan.last.text


def test_a_busy_database_postpones_an_update(inside, ivan, monkeypatch, clock):
    ivan.say("/start")
    inside.fetch()

    def busy(*_args):
        raise Busy("locked")

    with monkeypatch.context() as patch:
        patch.setattr("bot.dispatcher.handle", busy)
        inside.handle()
    assert inbox(inside.app)[-1].handled_at is None
    clock.forward(seconds=3)
    count = len(ivan.messages)
    inside.handle()
    assert len(ivan.messages) == count + 1


def test_a_bug_in_a_handler_is_told_by_place_only_and_the_person_hears_sorry(inside, ivan, monkeypatch):
    def broken(*_args):
        raise RuntimeError(f"a secret {TOKEN}")

    monkeypatch.setattr("bot.dispatcher.handle", broken)
    assert "nothing was changed" in inside.say(ivan, "/start")
    assert inside.log == [each for each in inside.log if "RuntimeError at test_delivery.py" in each]
    assert TOKEN not in str(inside.log)
    assert inbox(inside.app)[-1].error.startswith("a bug in vpnctl: RuntimeError")


def test_updates_of_one_chat_are_answered_in_order_by_many_workers(inside, ivan, api, clock):
    import threading

    offer(inside.app)
    clock.forward(minutes=1)
    users.change(inside.app, "tg501", {"unlimited": False})
    for command in ("/help", "/plans", "/status", "/start"):
        ivan.say(command)
    count = len(ivan.messages)
    inside.fetch()
    workers = [threading.Thread(target=inside.dispatcher.work) for _ in range(4)]
    for each in workers:
        each.start()
    ivan.wait("Your VPN", after=count)
    inside.dispatcher.stop()
    for each in workers:
        each.join()
    assert [each.text.split("\n")[0] for each in ivan.messages[count:]] == ["Help", "Plans", "Status", "Your VPN"]


def test_two_admins_who_decide_at_once_make_one_decision(inside, ivan, admin, second):
    offer(inside.app)
    inside.say(ivan, "/plans")
    inside.press(ivan, "Month")
    inside.press(ivan, "I want it")
    admin.press("Grant")
    second.press("Refuse")
    inside.pump()
    with inside.app.store.read() as tx:
        assert len(tx.all(Subscription)) == 1
    assert "That is settled already" in second.messages[-1].text + second.messages[-2].text


def test_no_exception_of_the_library_carries_the_token_out(inside, monkeypatch):
    from telebot import apihelper

    def failing(*_args, **_more):
        raise requests.ConnectionError(f"http://127.0.0.1/bot{TOKEN}/getMe")

    monkeypatch.setattr(apihelper, "_make_request", failing)
    from bot.client import Client

    got = Client(inside.app.settings).me()
    assert TOKEN not in str(got)
