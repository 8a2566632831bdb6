"""What money costs: callbacks kept and worked off, a storm of 100,000, a press in a busy shop, and paid until connected."""

from __future__ import annotations

import sqlite3
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench import measure
from bench.bot import crowd, running, tap
from bench.site import Site, site
from tests.conftest import Run
from tests.lab.network import Lab
from tests.lab.node import Node
from tests.lab.selling import PLANS, Shop, env, in_telegram, on_a_page
from tests.support import till as tills
from tests.support.storm import KINDS, REPEATED, storm, yookassa
from tests.support.till import Till
from tests.telegram.server import BotApi, Person
from vpnctl.actions.people import users
from vpnctl.actions.sales import callbacks, checkout, orders
from vpnctl.actions.service import inventory, state
from vpnctl.actions.service.inventory_form import parse
from vpnctl.app import App, open_app
from vpnctl.protocols import plugin
from vpnctl.protocols.interface import Credentials
from vpnctl.remote import probe
from vpnctl.rules.secret import Secret
from vpnctl.settings import load
from vpnctl.store import find

CALLBACKS, STORM, BUYERS, TAPPERS, PRESSES = 2000, 100_000, 40, 20, 10
Row = Callable[..., None]


def run(home: Path, program: str, row: Row) -> None:
    """Print the rows but the storm's."""
    with _shop(home / "callbacks") as (app, _):
        _callbacks(home, app, row)
    with Lab() as lab:
        _in_the_lab(home, lab.fleet(1), program, row)


def run_storm(home: Path, _program: str, row: Row) -> None:
    """Ten minutes of deliveries."""
    with _shop(home / "storm") as (app, till):
        found = storm(app, till, round(STORM / KINDS / (1 + REPEATED)))
    lost = len(set(found.paid) - set(found.booked))
    double = len(found.booked) - len(set(found.booked)) + max(0, found.bought - len(found.paid))
    books = "equal" if found.booked == found.paid else "DIFFERENT"
    note = f"{lost} lost, {double} double, {found.killed} killed; books of {len(found.paid)} payments {books}"
    row(
        f"{found.deliveries} deliveries worked off : at 200 a second",
        found.seconds,
        found.deliveries / 200,
        "<= 1",
        note,
    )


@contextmanager
def _shop(home: Path) -> Iterator[tuple[App, Till]]:
    """A state of its own on SQLite, synced as in production, that sells by YooKassa."""
    till = Till()
    values = {"VPNCTL_STATE_DIR": str(home / "state"), "VPNCTL_KEY_FILE": str(home / "vault.key"), "HOME": str(home)}
    values |= {"VPNCTL_YOOKASSA_SHOP": tills.SHOP, "VPNCTL_YOOKASSA_KEY": tills.SHOP_KEY}
    known = load(None, values | {"VPNCTL_YOOKASSA_API_URL": f"{till.url}/yookassa"})
    state.init(known, "cli:bench")
    app = open_app(known, "cli:bench")
    inventory.apply(app, *parse(PLANS, "plans"))
    yield app, till
    app.store.close()
    till.close()


def _callbacks(home: Path, app: App, row: Row) -> None:
    """Keep callbacks, each committed before it is answered, as several requests at once; a bare insert is the floor."""
    users.add(app, ["ann"])
    with app.store.read() as tx:
        ann = find.user(tx, "ann")
    order = orders.place(app, ann, "month", "RUB", "yookassa")
    checkout.work(app)
    with app.store.read() as tx:
        bodies = [yookassa(replace(order, external_id="x"), f"kind.{number}") for number in range(CALLBACKS)]
    began = time.perf_counter()
    with ThreadPoolExecutor(8) as pool:
        kept = sum(pool.map(lambda body: callbacks.receive(app, "yookassa", {}, body), bodies))
    ours = time.perf_counter() - began
    bare = sqlite3.connect(home / "bare.db", isolation_level=None)
    bare.executescript(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE kept (id INTEGER PRIMARY KEY, body BLOB)"
    )
    began = time.perf_counter()
    for body in bodies:
        bare.execute("INSERT INTO kept (body) VALUES (?)", (body,))
    theirs = time.perf_counter() - began
    bare.close()
    note = f"{kept / ours:.0f} a second (goal >= 200), each committed before its answer"
    row(f"{CALLBACKS} callbacks kept : as many synced inserts", ours, theirs, "-", note)


def _in_the_lab(home: Path, nodes: list[Node], program: str, row: Row) -> None:
    api, till = BotApi(), Till()
    made = Shopping(site(home / "money", nodes, program), api, till)
    try:
        files = made.fill(nodes[0])
        with running([program, "bot", "run"], made.env):
            people = crowd(api, 5000, TAPPERS)
            for person in people:
                person.say("/start")
                person.wait("Your VPN", 60)
            presses: list[float] = []
            took = _purchases(made, files, people, presses)
    finally:
        api.close()
        till.close()
    late = statistics.quantiles(took, n=20)[-1]
    ssh = measure.race(5, floor=lambda: made.site.ssh(nodes[0].address, "true"))["floor"]
    note = f"p95 {late:.2f} s (goal <= 5), worst {max(took):.2f} s, {len(took)} purchases"
    row("paid until the first handshake : one cold ssh", statistics.median(took), ssh, "-", note)
    slow = statistics.quantiles(presses, n=50)[-1]
    worst = f"98 % within {1000 * slow:.0f} ms (goal < 150), worst {1000 * max(presses):.0f} ms, {len(presses)} presses"
    row("a press while people buy : 150 ms", statistics.median(presses), 0.15, "<= 1", worst)


class Shopping(Shop):
    """A shop of the bench: its command line is the installed program."""

    def __init__(self, made: Site, api: BotApi, till: Till) -> None:
        super().__init__(self._cli, api, till)
        self.site = made
        self.env = made.env | env(api, till) | {"VPNCTL_TELEGRAM_RATE": "1000"}

    def _cli(self, *args: str, stdin: str = "") -> Any:
        argv = [self.site.program, "--yes", *args]
        done = subprocess.run(argv, env=self.env, input=stdin, capture_output=True, text=True, check=True)
        return Run(done.returncode, done.stdout, done.stderr)

    def fill(self, node: Node) -> list[str]:
        """Add people whose access is over, with a device each, and some who only press; return the files."""
        plans = self.site.home / "plans.yaml"
        plans.write_text(PLANS)
        self._cli("inventory", "apply", str(plans))
        names = [f"b{number}" for number in range(BUYERS)]
        for number, name in enumerate(names):
            self._cli("user", "add", name, "--telegram-id", str(700 + number), "--unlimited")
        out = self.site.home / "files"
        self._cli("peer", "add", "--from", "-", "--node", node.name, "--out", str(out), stdin="\n".join(names))
        for name in names:
            self._cli("user", "set", name, "--limited")
        for number in range(TAPPERS):
            self._cli("user", "add", f"t{number}", "--telegram-id", str(5000 + number))
        return [(out / f"{name}.conf").read_text() for name in names]


def _purchases(made: Shopping, files: Sequence[str], people: list[Person], presses: list[float]) -> list[float]:
    """Let people buy one after another, by Stars and by a page in turn, while others press buttons."""
    took: list[float] = []
    with ThreadPoolExecutor(1) as pool:
        for number, file in enumerate(files):
            buyer = made.api.person(700 + number, f"B{number}", username=f"b{number}")
            order = made.order(buyer, "Telegram Stars" if number % 2 else "YooKassa")
            pressing = pool.submit(_press, made.api, people)
            pay = in_telegram if number % 2 else on_a_page
            began = time.monotonic()
            pay(made, buyer, order)
            if not _connects(file):
                raise ValueError("what was paid for does not connect")
            took.append(time.monotonic() - began)
            presses += pressing.result()
    return took


def _press(api: BotApi, people: list[Person]) -> list[float]:
    return [
        tap(api, person, "Help" if "Help" in " ".join(person.last.labels()) else "Menu") for person in people[:PRESSES]
    ]


def _connects(file: str) -> bool:
    """Shake hands with what a WireGuard file says, again and again for half a minute."""
    said = dict(line.split(" = ", 1) for line in file.splitlines() if " = " in line)
    shared = Secret(said["PresharedKey"]) if "PresharedKey" in said else None
    talk = plugin("wireguard").conversation(said["PublicKey"], Credentials("", Secret(said["PrivateKey"]), shared), {})
    host, _, port = said["Endpoint"].rpartition(":")
    if talk is None:
        raise ValueError("WireGuard has a handshake")
    end = time.monotonic() + 30
    while time.monotonic() < end:
        found = probe.shake(host, int(port), talk, lambda: divmod(time.time_ns(), 10**9), tries=1, wait=0.1)
        if found.verdict is probe.Verdict.OK:
            return True
    return False
