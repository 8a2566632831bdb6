"""The bot by webhook: Telegram pushes to the web process, the bot handles what that stored, both real, on loopback."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from bot import intake
from bot import run as running
from tests.support.website import PUBLIC, serving
from tests.telegram.conftest import right_picture
from tests.worker.test_worker import until
from vpnctl.errors import InvalidInput, Unreachable
from vpnctl.rules.secret import Secret


@pytest.fixture
def pushed(shop, monkeypatch):
    """The shop, whose bot takes updates by webhook."""
    monkeypatch.setattr(running, "WATCH_WEBHOOK", 0.1)
    monkeypatch.setattr(running, "HEAR", 0.1)
    return replace(shop, settings=replace(shop.settings, telegram_updates="webhook", web_url=PUBLIC))


@pytest.fixture
def live(pushed, api):
    """Bot and web process, each in a thread; yields (where the web process answers, the bot's log)."""
    stop, log = threading.Event(), []
    thread = threading.Thread(target=lambda: running.run(pushed, log.append, stop=stop))
    thread.start()
    until(lambda: log and "listening" in log[-1], 20)
    with serving(pushed, intake.webhook(pushed, log.append)) as site:
        yield site.url, log
    stop.set()
    thread.join(30)
    assert not thread.is_alive()


def test_the_whole_way_by_webhook(live, pushed, serve, api, ivan, admin):
    url, log = live
    node = serve("fi")
    assert api.webhook == f"{PUBLIC}/telegram"

    def say(person, text, after):
        person.say(text)
        api.deliver(url)
        return person.wait(after)

    def press(person, label, whom, after):
        person.press(label)
        api.deliver(url)
        return whom.wait(after)

    say(ivan, "/start", "Press the picture")
    press(ivan, right_picture(pushed, ivan), admin, "wants access")
    press(admin, "Let in", ivan, "You are in")
    say(ivan, "/get_config", "What is it?")
    press(ivan, "Phone", ivan, "Import it in the app WireGuard")
    assert len(node.fake.live_keys()) == 1
    assert api.methods("getUpdates") == []
    assert [line for line in log if "wait" in line or "fail" in line or "cannot" in line] == []


def test_a_webhook_that_another_program_took_away_is_set_again(live, api):
    _url, log = live
    api.webhook = "https://elsewhere.example/hook"
    until(lambda: api.webhook == f"{PUBLIC}/telegram", 20)
    until(lambda: any("changed by another program" in line for line in log), 20)


def test_that_updates_do_not_arrive_is_said(live, api, ivan, monkeypatch):
    _url, log = live
    told = {"url": f"{PUBLIC}/telegram", "pending_update_count": 3, "last_error_message": "Wrong response: 502"}
    monkeypatch.setattr(api, "do_getWebhookInfo", lambda *_args: told, raising=False)
    until(lambda: any("Telegram cannot deliver updates: Wrong response: 502" in line for line in log), 20)


def test_without_an_address_the_bot_says_what_to_set(pushed):
    with pytest.raises(InvalidInput) as caught:
        running.run(replace(pushed, settings=replace(pushed.settings, web_url="")), print)
    assert "set web_url" in caught.value.hint


def test_an_address_that_telegram_refuses_is_said(pushed, api):
    api.fail("setWebhook", 400, {"ok": False, "error_code": 400, "description": "Bad Request: bad webhook"})
    with pytest.raises(Unreachable, match="does not take the webhook"):
        running.run(pushed, print)


def test_the_secret_goes_with_the_token_and_does_not_show_it(pushed):
    known = intake.secret(pushed.settings).reveal()
    other = intake.secret(replace(pushed.settings, bot_token=Secret("7654321:" + "y" * 35))).reveal()
    assert known == intake.secret(pushed.settings).reveal()
    assert known != other
    assert pushed.settings.bot_token.reveal() not in known


def test_the_web_process_takes_no_updates_without_a_token(pushed):
    with pytest.raises(InvalidInput, match="no bot token"):
        intake.webhook(replace(pushed, settings=replace(pushed.settings, bot_token=Secret(""))), print)
