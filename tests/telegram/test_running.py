"""The running bot: threads, signals, other pollers; and the real program, killed while it works."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from bot import run as running
from tests.telegram.conftest import ADMIN, right_picture
from tests.telegram.server import NAME, TOKEN
from vpnctl.actions.people import invites
from vpnctl.actions.talk import updates
from vpnctl.errors import Busy, Conflict, InvalidInput, StateTrouble, Unreachable
from vpnctl.rules.secret import Secret
from vpnctl.store import models
from vpnctl.store.rows import User
from vpnctl.store.talk_rows import Invite
from vpnctl.worker import child


@pytest.fixture
def live(shop, api):
    """The whole bot in threads, on the real clock of its waits and the frozen one of its rows."""
    stop, log = threading.Event(), []
    thread = threading.Thread(target=lambda: running.run(shop, log.append, stop=stop))
    thread.start()
    yield log
    stop.set()
    api.push({"poll": "ends the long poll"})
    thread.join(30)
    assert not thread.is_alive()


def test_the_whole_way_with_threads(live, shop, serve, api, ivan, admin):
    node = serve("fi")
    ivan.say("/start")
    ivan.wait("Press the picture")
    ivan.press(right_picture(shop, ivan))
    admin.wait("wants access")
    admin.press("Let in")
    ivan.wait("You are in")
    ivan.say("/get_config")
    ivan.wait("What is it?")
    ivan.press("Phone")
    ivan.wait("Import it in the app WireGuard")
    ivan.wait("scan it in the app WireGuard")
    assert len(node.fake.live_keys()) == 1
    assert live[0] == f"@{NAME} is listening"


def test_commands_are_offered_in_every_language_and_more_to_admins(live, api, ivan):
    ivan.say("/start")
    ivan.wait("Press")
    scope = '{"type": "all_private_chats"}'
    described = {
        language: {each["command"]: each["description"] for each in api.commands[language, scope]}
        for language in ("", "ru", "fa")
    }
    assert described[""]["get_config"] == "Connect a device"
    assert described["ru"]["get_config"] == "Подключить устройство"
    assert described["fa"].keys() == described[""].keys()
    assert all(len(text) <= 256 for each in described.values() for text in each.values())
    more = api.commands["", f'{{"type": "chat", "chat_id": {ADMIN}}}']
    assert {"users", "nodes", "pending", "add_user"} <= {each["command"] for each in more}


def test_another_poller_elsewhere_is_noticed(shop, api, monkeypatch):
    monkeypatch.setattr(running, "RIVAL_PAUSE", 0)
    conflict = {"ok": False, "error_code": 409, "description": "Conflict: terminated by other getUpdates request"}
    api.fail("getUpdates", 409, conflict, times=100)
    with pytest.raises(Busy, match="another program"):
        running.run(shop, lambda _text: None)


def test_a_poll_that_a_killed_one_left_behind_is_waited_for(shop, api, ivan, monkeypatch):
    monkeypatch.setattr(running, "RIVAL_PAUSE", 0)
    conflict = {"ok": False, "error_code": 409, "description": "Conflict: terminated by other getUpdates request"}
    api.fail("getUpdates", 409, conflict, times=3)
    stop = threading.Event()
    thread = threading.Thread(target=lambda: running.run(shop, lambda _text: None, stop=stop))
    thread.start()
    ivan.say("/start")
    ivan.wait("Press the picture")
    stop.set()
    thread.join(30)
    assert not thread.is_alive()


def test_a_webhook_is_not_taken_away_unasked(shop, api):
    api.webhook = "https://example.org/hook"
    with pytest.raises(Conflict, match="webhook"):
        running.run(shop, lambda _text: None)
    assert api.webhook
    stop = threading.Event()
    stop.set()
    assert running.run(shop, lambda _text: None, drop_webhook=True, stop=stop) == 0
    assert not api.webhook


@pytest.mark.parametrize(
    ("setting", "value", "error"),
    [
        ("bot_token", Secret(""), InvalidInput),
        ("bot_token", Secret("1234567:" + "x" * 35), InvalidInput),
        ("telegram_api_url", "http://127.0.0.1:9", Unreachable),
    ],
)
def test_what_keeps_the_bot_from_starting_is_said_without_the_token(shop, setting, value, error):
    with pytest.raises(error) as caught:
        running.run(replace(shop, settings=replace(shop.settings, **{setting: value})), lambda _text: None)
    assert caught.value.hint
    assert "x" * 35 not in str(caught.value) + caught.value.hint
    assert TOKEN not in str(caught.value) + caught.value.hint


def test_without_the_library_the_hint_says_what_to_install(shop, monkeypatch):
    monkeypatch.setitem(sys.modules, "telebot", None)
    with pytest.raises(StateTrouble) as caught:
        running.run(shop, lambda _text: None)
    assert caught.value.hint == f"{sys.executable} -m pip install 'pyTelegramBotAPI>=4.37'"


class Program:
    """`vpnctl bot run` as a process of its own."""

    def __init__(self, shop, api, log):
        self.log = log
        self.env = {
            **os.environ,
            "VPNCTL_STATE_DIR": str(shop.settings.state_dir),
            "VPNCTL_KEY_FILE": str(shop.settings.key_file),
            "VPNCTL_DATABASE_URL": shop.settings.database_url,
            "VPNCTL_BOT_TOKEN": TOKEN,
            "VPNCTL_TELEGRAM_API_URL": api.url,
            "VPNCTL_ADMIN_IDS": str(ADMIN),
            "VPNCTL_TELEGRAM_RATE": "500",
        }
        self.process = None

    def start(self):
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "vpnctl", "bot", "run"], env=self.env, stderr=out, stdout=out
            )
        return self

    def helper(self):
        """The process that settles and sends."""
        return int(Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text())

    def memory(self):
        """MiB that both hold now; what they share counts once."""
        lines = [Path(f"/proc/{each}/smaps_rollup").read_text() for each in (self.process.pid, self.helper())]
        return sum(int(text.split("\nPss:")[1].split()[0]) for text in lines) / 1024

    def end(self, number):
        self.process.send_signal(number)
        return self.process.wait(60)


@pytest.fixture
def program(shop, api, tmp_path):
    made = Program(shop, api, tmp_path / "bot.log")
    yield made
    if made.process and made.process.poll() is None:
        made.end(signal.SIGKILL)
    assert TOKEN not in made.log.read_text() if made.log.exists() else True


def test_the_program_serves_and_stops_when_told(program, ivan):
    program.start()
    ivan.say("/start")
    ivan.wait("Press the picture", 30)
    assert program.end(signal.SIGTERM) == 0
    assert "stopping" in program.log.read_text()
    assert "Traceback" not in program.log.read_text()


def test_a_second_program_on_this_machine_is_refused(program, api, shop, tmp_path, ivan):
    program.start()
    ivan.say("/start")
    ivan.wait("Press the picture", 30)
    other = Program(shop, api, tmp_path / "other.log").start()
    assert other.process.wait(60) == 8
    assert "the bot is running already, on this machine" in other.log.read_text()
    assert program.end(signal.SIGINT) == 0


def ended(process):
    """Say whether a process that is not our child ends within a minute."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            if "(zombie)" in Path(f"/proc/{process}/status").read_text():
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.05)
    return False


def test_the_helper_logs_as_the_bot_was_told_to(cli, monkeypatch):
    seen = []
    monkeypatch.setattr(running, "run", lambda _app, _log, **given: seen.append(given["child"]) or 0)
    assert cli("init", "--yes").code == 0
    assert cli("--quiet", "--log-format", "json", "bot", "run").code == 0
    assert cli("bot", "run").code == 0
    assert seen[0][3:] == ("vpnctl", "--log-format", "json", "--quiet", "worker", "child")
    assert seen[1][3:] == ("vpnctl", "--log-format", "text", "worker", "child")


def test_a_helper_one_of_whose_threads_died_ends(monkeypatch):
    class Dead:
        def is_alive(self):
            return False

    codes, said = [], []
    monkeypatch.setattr(child.os, "_exit", codes.append)
    child._watch(Dead(), said.append)
    assert (codes, said) == ([1], ["a thread that settles or sends died"])


def test_a_helper_that_does_not_start_is_told_with_its_code():
    said = []
    helper = child.ChildWorker((sys.executable, "-c", "raise SystemExit(9)"), said.append)
    helper.start()
    helper.close()
    assert said == ["the process that settles and sends ended with 9"]
    helper.ask(["fi"])
    assert not helper.is_alive()


def test_the_helper_of_a_killed_program_ends(program, ivan):
    program.start()
    ivan.say("/start")
    ivan.wait("Press the picture", 30)
    helper = program.helper()
    program.end(signal.SIGKILL)
    assert ended(helper)


def test_a_program_whose_helper_was_killed_ends_so_that_it_is_started_again(program, ivan):
    program.start()
    ivan.say("/start")
    ivan.wait("Press the picture", 30)
    os.kill(program.helper(), signal.SIGKILL)
    assert program.process.wait(60) == 1
    assert "ended with -9" in program.log.read_text()
    assert "a part of the bot died" in program.log.read_text()


def test_the_helper_sends_news_and_leaves_signals_to_the_bot(program, shop, api, ivan, admin):
    program.start()
    for person in (ivan, api.person(502, "Anna")):
        person.say("/start")
        person.wait("Press the picture", 30)
        person.press(right_picture(shop, person))
        admin.wait(f"Telegram id {person.number}", 30)
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(program.helper(), number)
    helper = program.helper()
    assert program.end(signal.SIGTERM) == 0
    assert ended(helper)


def test_half_a_request_of_a_killed_program_is_none(api):
    with socket.create_connection(("127.0.0.1", int(api.url.rsplit(":", 1)[1]))) as cut:
        cut.sendall(f"POST /bot{TOKEN}/sendMessage HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\nchat".encode())
        cut.shutdown(socket.SHUT_WR)
        assert cut.recv(1) == b""
    assert api.calls == []


def test_a_backlog_of_a_thousand_updates_is_worked_off_by_a_program_that_is_killed_again_and_again(program, shop, api):
    """200 people, five updates each, five kills: every invitation is used once, everybody is answered."""
    codes = [invites.create(shop, None, 7).reveal() for _ in range(200)]
    crowd = [api.person(20_000 + number, f"P{number}") for number in range(200)]
    for words in ("/start {}", "/status", "/help", "/language", "/stats"):
        for person, code in zip(crowd, codes, strict=True):
            person.say(words.format(code))
    for _ in range(5):
        program.start()
        seen = sum(len(each.messages) for each in crowd)
        end = time.monotonic() + 40
        while sum(len(each.messages) for each in crowd) < seen + 40 and time.monotonic() < end:
            time.sleep(0.02)
        program.end(signal.SIGKILL)
    program.start()
    end = time.monotonic() + 120
    while time.monotonic() < end:
        with shop.store.read() as tx:
            left = updates.waiting(tx)
        if not left and not api.queue and all(len(each.messages) >= 5 for each in crowd):
            break
        time.sleep(0.2)
    assert program.memory() < 150, "MiB"
    assert program.end(signal.SIGTERM) == 0
    with shop.store.read() as tx:
        assert updates.waiting(tx) == 0
        assert len(tx.all(User)) == 200
        assert all(row.used_at is not None for row in tx.all(Invite))
        events = tx.execute(models.event.select().where(models.event.c.verb == "invite.redeem")).all()
    assert len(events) == 200, "no effect lost, none repeated"
    extra = sum(len(each.messages) - 5 for each in crowd)
    assert all(len(each.messages) >= 5 for each in crowd), "no answer lost"
    assert extra <= 5 * running.WORKERS, "at most those that were on their way when it was killed"
