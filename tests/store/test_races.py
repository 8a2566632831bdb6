"""Every pair of verbs on one subject at once, as two programs would run them, on SQLite and on a real PostgreSQL.

What comes out must be what one of the two orders would have given: verbs are serial.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from itertools import combinations_with_replacement
from pathlib import Path

import pytest

from tests.store.test_store import NOW, serve
from tests.support.postgres import database
from vpnctl.actions.people import migration, peers, users
from vpnctl.actions.people.issue import Wanted
from vpnctl.actions.sales import subscriptions
from vpnctl.actions.service import inventory
from vpnctl.actions.service.inventory_form import parse
from vpnctl.app import App
from vpnctl.errors import Busy, Conflict, VpnctlError
from vpnctl.settings import load
from vpnctl.store import models, vault
from vpnctl.store.engine import Store
from vpnctl.store.rows import Peer, Subscription, User
from vpnctl.store.upgrade import upgrade

ROUNDS = 20
PLANS = "plans:\n  - {name: month, days: 30, devices: 5, prices: {EUR: 1}}\n"
VERBS = {
    "add": lambda app, name: peers.add(app, [Wanted(name, "second", "fi")]),
    "regen": lambda app, name: peers.regen(app, f"{name}/main"),
    "overlap": lambda app, name: peers.regen(app, f"{name}/main", overlap=True),
    "suspend": lambda app, name: peers.suspend(app, f"{name}/main"),
    "resume": lambda app, name: peers.resume(app, f"{name}/main"),
    "revoke": lambda app, name: peers.revoke(app, f"{name}/main"),
    "rename": lambda app, name: peers.change(app, f"{name}/main", "second"),
    "migrate": lambda app, name: migration.start(app, name, migration.Destination("de")),
    "block": users.block,
    "unblock": users.unblock,
    "limit": lambda app, name: users.change(app, name, {"device_limit": 1}),
    "remove": users.remove,
    "grant": lambda app, name: subscriptions.grant(app, name, "month"),
    "cancel": lambda app, name: subscriptions.cancel(app, name),
}


def _fresh(request, folder):
    """The URL of an empty database; SQLite's in memory where there is some, for its syncs are not what is tried."""
    if request.param == "sqlite":
        return f"sqlite:///{folder / 'vpnctl.db'}"
    return database(request.getfixturevalue("postgres"))


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def programs(request, tmp_path_factory):
    """Three apps on one database, each with connections of its own: two that race, one that looks."""
    home = tmp_path_factory.mktemp("races")
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="vpnctl-races-", dir=memory if memory.is_dir() else home))
    env = {"HOME": str(home), "VPNCTL_STATE_DIR": str(folder), "VPNCTL_KEY_FILE": str(home / "vault.key")}
    url, settings = _fresh(request, folder), load(None, env)
    upgrade(url)
    keys = vault.create(settings.key_file)
    apps = [App(settings, Store(url), keys, None, "cli:test", clock=lambda: NOW) for _ in range(3)]
    for name in ("fi", "de"):
        serve(apps[0], name)
    inventory.apply(apps[0], *parse(PLANS, "plans"))
    yield apps
    for app in apps:
        app.store.close()
    shutil.rmtree(folder)


on_postgres = pytest.mark.parametrize(
    "programs", [pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True, scope="module"
)


def subjects(app, count, prefix):
    names = [f"{prefix}{number}" for number in range(count)]
    users.add(app, names, unlimited=True)
    peers.add(app, [Wanted(name, "main", "fi") for name in names])
    return names


def outcome(app, verb, name):
    try:
        VERBS[verb](app, name)
    except VpnctlError as error:
        return type(error).__name__
    return "ok"


def state(app, name):
    """What is left of a person: block, limit, periods, and each living device: where, suspended, on its way out."""
    with app.store.read() as tx:
        row = tx.all(User, models.user.c.name == name)[0]
        living = tx.all(Peer, models.peer.c.user_id == row.id, models.peer.c.revoked_at.is_(None))
        first = dict(tx.execute(models.endpoint.select().with_only_columns(models.endpoint.c.id, models.node.c.name)
                                .join(models.node, models.node.c.id == models.endpoint.c.node_id)).all())  # fmt: skip
        periods = tx.all(Subscription, models.subscription.c.user_id == row.id)
    devices = sorted((p.device, first[p.endpoint_id], bool(p.suspended_at), bool(p.retiring_at)) for p in living)
    sold = sorted(bool(each.cancelled_at) for each in periods)
    return (bool(row.blocked_at), bool(row.removed_at), row.device_limit, row.unlimited, tuple(devices), tuple(sold))


def serial(app, first, second, name):
    told = {first: outcome(app, first, name)}
    told2 = outcome(app, second, name)
    return (told[first], told2, state(app, name))


@pytest.mark.parametrize("pair", list(combinations_with_replacement(VERBS, 2)), ids="-".join)
def test_two_verbs_at_once_are_one_after_the_other(programs, pair):
    one, two, looker = programs
    first, second = pair
    names = subjects(looker, ROUNDS + 2, f"{first}-{second}-")
    ab = serial(looker, first, second, names.pop())
    b, a, end = serial(looker, second, first, names.pop())
    allowed = {ab, (a, b, end)}
    gate = threading.Barrier(2)

    def run(app, verb, name):
        gate.wait()
        return outcome(app, verb, name)

    with ThreadPoolExecutor(2) as pool:
        for name in names:
            left, right = pool.submit(run, one, first, name), pool.submit(run, two, second, name)
            found = (left.result(), right.result(), state(looker, name))
            assert found in allowed, f"{found} is neither of {allowed}"


def test_twelve_adds_at_once_stay_within_the_device_limit(programs):
    one, two, looker = programs
    users.add(looker, ["alice"], unlimited=True, device_limit=1)

    def add(number):
        with suppress(Conflict):
            peers.add((one, two)[number % 2], [Wanted("alice", f"d{number}", "fi")])

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(add, range(12)))
    with looker.store.read() as tx:
        alice = tx.all(User, models.user.c.name == "alice")[0]
        assert len(tx.all(Peer, models.peer.c.user_id == alice.id)) == 1


@on_postgres
def test_a_stuck_transaction_is_waited_for_only_so_long_and_named_for_what_it_is(programs):
    one, two, _ = programs
    impatient = Store(f"{two.store.url}&options=-c%20lock_timeout%3D300ms")
    with (
        one.store.write() as tx,
        pytest.raises(Busy, match="another program holds it") as caught,
    ):
        tx.set_meta("x", "1")
        users.add(replace(two, store=impatient), ["bob"])
    impatient.close()
    assert "nothing was changed" in caught.value.what


@on_postgres
def test_a_reader_sees_one_state_whatever_is_committed_meanwhile(programs):
    one, two, _ = programs
    with one.store.read() as tx:
        before = len(tx.all(User))
        users.add(two, ["carol"])
        assert len(tx.all(User)) == before


@on_postgres
def test_a_session_waits_for_locks_and_statements_no_longer_than_stated(programs):
    with programs[0].store.read() as tx:
        shown = [
            tx.connection.exec_driver_sql(f"SHOW {name}").scalar() for name in ("lock_timeout", "statement_timeout")
        ]
    assert shown == ["30s", "5min"]
