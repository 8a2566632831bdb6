"""The bot against a bare pyTelegramBotAPI bot that only answers: how long a press waits, idle and under SSH load."""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from bench import measure
from tests.lab.node import Node
from tests.telegram.server import TOKEN, BotApi, Person

PROGRAM = str(Path(sys.executable).with_name("vpnctl"))
NODES, TAPPERS, PRESSES = 10, 40, 5
Row = Callable[..., None]
BARE = """
import sys, telebot
from telebot import apihelper, types
apihelper.API_URL = sys.argv[1] + "/bot{0}/{1}"
bot = telebot.TeleBot(sys.argv[2], num_threads=4)
keys = types.InlineKeyboardMarkup([[types.InlineKeyboardButton("Help", callback_data="x")]])
@bot.message_handler(func=lambda m: True)
def said(m): bot.send_message(m.chat.id, "Help", reply_markup=keys)
@bot.callback_query_handler(func=lambda q: True)
def pressed(q):
    bot.answer_callback_query(q.id)
    bot.edit_message_text("Help " + q.id, q.message.chat.id, q.message.message_id, reply_markup=keys)
bot.infinity_polling(skip_pending=False)
"""


@contextmanager
def running(argv: list[str], env: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a bot until the end of the block, in a session of its own, as systemd does: CPU is shared by sessions."""
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(argv, env=env, stdout=quiet, stderr=quiet, start_new_session=True)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()


def mib(process: subprocess.Popen[bytes]) -> float:
    """Return what the process and its children hold; what they share counts once."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    texts = [Path(f"/proc/{each}/smaps_rollup").read_text() for each in (process.pid, *children)]
    return sum(int(text.split("\nPss:")[1].split()[0]) for text in texts) / 1024


def tap(api: BotApi, person: Person, label: str) -> float:
    """Press a button; return the seconds until Telegram got the first answer."""
    key = person.press(label)
    with api.changed:
        assert api.changed.wait_for(lambda: key in api.answers, 20), "no answer"
    return float(api.answers[key]["after"])


def crowd(api: BotApi, first: int, count: int) -> list[Person]:
    return [api.person(first + number, f"P{number}") for number in range(count)]


def taps(api: BotApi, people: list[Person], busy: Callable[[], bool] | None = None) -> list[float]:
    """Press buttons one after another, a few each, as long as `busy`."""
    found = []
    for _ in range(PRESSES):
        for person in people:
            if busy is not None and not busy():
                return found
            found.append(tap(api, person, "Help" if "Help" in " ".join(person.last.labels()) else "Menu"))
    return found


def service(home: Path, nodes: list[Node], api: BotApi) -> dict[str, str]:
    """Make a state with ten served nodes, a device on each, and people who only tap."""
    home.mkdir()
    bot = {"VPNCTL_TELEGRAM_API_URL": api.url, "VPNCTL_BOT_TOKEN": TOKEN, "VPNCTL_TELEGRAM_RATE": "1000"}
    env = measure.clean_env(home) | bot

    def vpnctl(*args: str) -> None:
        measure.timed([PROGRAM, "--quiet", "--yes", *args], env)

    def serve(node: Node) -> None:
        vouch = ["--host-key-fp", node.fingerprint(), "--identity", str(node.key)]
        vpnctl("node", "add", node.name, f"root@{node.address}", *vouch, "--provision")

    vpnctl("init")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(serve, nodes))
    for number, node in enumerate(nodes):
        vpnctl("user", "add", f"u{number}", "--telegram-id", str(100 + number))
        vpnctl("peer", "add", f"u{number}", "--device", "phone", "--node", node.name)
    for number in range(TAPPERS):
        vpnctl("user", "add", f"t{number}", "--telegram-id", str(1000 + number))
    return env


def under_load(api: BotApi, people: list[Person]) -> list[float]:
    """Press buttons while new keys for ten devices are being made on ten nodes over SSH."""
    owners = crowd(api, 100, NODES)
    for owner in owners:
        owner.say("/regen")
        owner.wait("New keys", 30)
        owner.press("phone")
        owner.wait("stops working at once", 30)
    before = [len(owner.files("document")) for owner in owners]
    for owner in owners:
        owner.press("New keys now")

    def busy() -> bool:
        return any(len(owner.files("document")) == had for owner, had in zip(owners, before, strict=True))

    return taps(api, people, busy)


def backlog(api: BotApi, argv: list[str], env: dict[str, str]) -> float:
    """Return the seconds from the start of a bot until 1,000 updates from 200 people are answered."""
    people = crowd(api, 50_000, 200)
    for person in people:
        person.messages.clear()
    for _ in range(5):
        for person in people:
            person.say("/start")
    began = time.perf_counter()
    with running(argv, env):
        while any(len(person.messages) < 5 for person in people):
            time.sleep(0.02)
            assert time.perf_counter() - began < 300, "the backlog is not worked off"
    return time.perf_counter() - began


def run(home: Path, nodes: list[Node], row: Row) -> None:
    """Print the rows."""
    api = BotApi()
    try:
        env = service(home / "bot", nodes[:NODES], api)
        ours, bare = [PROGRAM, "bot", "run"], [sys.executable, "-c", BARE, api.url, TOKEN]
        people = crowd(api, 1000, TAPPERS)
        with running(ours, env) as process:
            for person in people:
                person.say("/start")
                person.wait("Your VPN", 60)
            idle = taps(api, people)
            loaded: list[float] = []
            for _ in range(3):
                time.sleep(11)  # so that nobody is silenced for tapping too fast
                loaded += under_load(api, people)
            held = mib(process)
        for person in people:
            person.messages.clear()
        with running(bare, os.environ.copy()) as process:
            for person in people:
                person.say("/start")
                person.wait("Help", 60)
            theirs = taps(api, people)
            note = f"bare {mib(process):.0f} MiB"
        slow = statistics.quantiles(loaded, n=20)[-1]
        late = sum(each > 0.15 for each in loaded)
        worst = f"95 % within {1000 * slow:.0f} ms, {late} of {len(loaded)} over 150 ms, worst {1000 * max(loaded):.0f} ms; {held:.0f} MiB (goal <= 150); {note}"
        row("a press answered : by a bare bot", statistics.median(idle), statistics.median(theirs), "-")
        row(
            "a press while 10 nodes are changed : idle",
            statistics.median(loaded),
            statistics.median(idle),
            "<= 150ms",
            worst,
        )
        took, bare_took = backlog(api, ours, env), backlog(api, bare, os.environ.copy())
        row("1,000 updates of 200 people : bare bot", took, bare_took, "-", f"{1000 / took:.0f} a second")
    finally:
        api.close()
