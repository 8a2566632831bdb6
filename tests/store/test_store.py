"""The store contract, on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
import uuid
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from tests.support.postgres import database
from vpnctl import jobs
from vpnctl.actions.fleet import endpoints
from vpnctl.actions.fleet.nodes import save
from vpnctl.actions.outcome import stamp
from vpnctl.actions.people import peers, users
from vpnctl.actions.people.issue import Wanted
from vpnctl.actions.sales import reminders, subscriptions, transitions, trials
from vpnctl.actions.service import inventory
from vpnctl.actions.service.inventory_form import parse
from vpnctl.app import App
from vpnctl.errors import Busy, Conflict, StateTrouble
from vpnctl.remote.shell import Login
from vpnctl.reports import business, figures, notices, people, status, tariffs
from vpnctl.reports import traffic as report
from vpnctl.rules.access import Reason, why_not_person
from vpnctl.rules.ledger import Reading
from vpnctl.store import models, rows, talk_rows, traffic, vault
from vpnctl.store.engine import Store
from vpnctl.store.events import Due, record_due
from vpnctl.store.people import persons
from vpnctl.store.queue import open_peers, pending_nodes, wanted
from vpnctl.store.rows import Node, Peer, User
from vpnctl.store.upgrade import upgrade

NOW = datetime(2027, 1, 15, 12, tzinfo=UTC)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def url(request, tmp_path):
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'state/vpnctl.db'}"
    return database(request.getfixturevalue("postgres"))


@pytest.fixture
def store(url):
    upgrade(url)
    opened = Store(url)
    yield opened
    opened.close()


@pytest.fixture
def app(store, settings):
    keys = vault.create(settings.key_file)
    return App(settings, store, keys, None, "cli:test", clock=lambda: NOW)


def test_the_migrations_build_what_the_models_say(store):
    with store.read() as tx:
        context = MigrationContext.configure(tx.connection, opts={"compare_type": True})
        assert compare_metadata(context, models.complete()) == []


def test_the_row_types_have_the_columns_as_fields():
    kinds = [
        kind
        for kind in [*vars(rows).values(), *vars(talk_rows).values()]
        if isinstance(kind, type) and hasattr(kind, "table")
    ]
    assert len(kinds) == 16
    for kind in kinds:
        assert [field.name for field in fields(kind)] == [column.name for column in kind.table.columns]


def serve(app, name="fi", **options):
    with app.store.write() as tx:
        node = save(tx, app, Login(name, "ssh", f"{name}.example.org", 22, "root", "ssh-ed25519 AAAA"), None, {})
    endpoints.add(app, name, "wireguard", options)
    return node


def test_times_come_back_aware_and_in_utc(app):
    there = timezone(timedelta(hours=5))
    local = replace(app, clock=lambda: datetime(2027, 1, 15, 17, tzinfo=there))
    users.add(local, ["alice"])
    with app.store.read() as tx:
        found = tx.one(User).created_at
    assert found == NOW
    assert found.tzinfo == UTC
    with pytest.raises(sa.exc.StatementError, match="without a zone"), app.store.write() as tx:
        tx.update(User, created_at=datetime(2027, 1, 1))  # noqa: DTZ001


def test_a_name_is_free_again_after_its_bearer_is_gone_but_not_before(app):
    users.add(app, ["alice"])
    with pytest.raises(Conflict):
        users.add(app, ["alice"])
    users.remove(app, "alice")
    users.add(app, ["alice"])


def test_the_database_itself_refuses_two_peers_with_one_address(app):
    serve(app)
    users.add(app, ["alice", "bob"])
    one, two = peers.add(app, [Wanted("alice"), Wanted("bob")])
    assert one.peer.ipv4 != two.peer.ipv4
    with pytest.raises(Conflict), app.store.write() as tx:
        tx.update(Peer, models.peer.c.id == two.peer.id, ipv4=one.peer.ipv4)


def test_foreign_keys_hold(app):
    with pytest.raises(Conflict), app.store.write() as tx:
        tx.execute(sa.insert(models.token).values(node_id=str(uuid.uuid4()), value="x", issued_at=NOW))


def test_an_exception_rolls_everything_back(app):
    with pytest.raises(RuntimeError), app.store.write() as tx:
        tx.set_meta("x", "1")
        raise RuntimeError
    with app.store.read() as tx:
        assert tx.meta("x") is None


def test_a_rehearsal_leaves_nothing(app):
    with app.store.rehearsal() as trial:
        users.add(replace(app, store=trial), ["ghost"])
        with trial.read() as tx:
            assert tx.one(User) is not None
    with app.store.read() as tx:
        assert tx.one(User) is None


def test_every_change_has_an_event_in_the_same_transaction(app):
    serve(app)
    users.add(app, ["alice"])
    peers.add(app, [Wanted("alice")])
    peers.suspend(app, "alice")
    peers.revoke(app, "alice")
    with app.store.read() as tx:
        verbs = tx.execute(sa.select(models.event.c.verb).order_by(models.event.c.seq)).scalars().all()
    assert verbs == ["node.add", "endpoint.add", "user.add", "peer.add", "peer.suspend", "peer.revoke"]


def test_the_queue_finds_what_is_not_proven(app):
    node = serve(app)
    with app.store.read() as tx:
        assert pending_nodes(tx, NOW) == [node.id]
    with app.store.write() as tx:
        tx.update(rows.Endpoint, proven_at=NOW)
    with app.store.read() as tx:
        assert pending_nodes(tx, NOW) == []
    users.add(app, ["alice"])
    peers.add(app, [Wanted("alice")])
    with app.store.read() as tx:
        assert pending_nodes(tx, NOW) == [node.id]
    with app.store.write() as tx:
        tx.update(Peer, present_at=NOW)
    with app.store.read() as tx:
        assert pending_nodes(tx, NOW) == []
        assert pending_nodes(tx, NOW, only=node.id) == []


def test_parallel_adds_never_share_an_address_and_a_full_pool_says_so(app):
    serve(app, pool_v4="10.9.0.0/28")
    names = [f"u{number}" for number in range(16)]
    users.add(app, names)
    outcomes = []

    def add(name):
        try:
            outcomes.append(peers.add(app, [Wanted(name)])[0].peer.ipv4)
        except Conflict as error:
            outcomes.append(error.what)

    threads = [threading.Thread(target=add, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    given = [each for each in outcomes if each.startswith("10.9.0.")]
    assert len(given) == len(set(given)) == 13
    assert sum("is full" in each for each in outcomes) == 3


def test_an_address_comes_back_24_hours_after_its_absence_was_seen(app):
    serve(app, pool_v4="10.9.0.0/30")
    users.add(app, ["alice", "bob"])
    first = peers.add(app, [Wanted("alice")])[0].peer
    peers.revoke(app, "alice")
    later = replace(app, clock=lambda: NOW + timedelta(days=30))
    with pytest.raises(Conflict, match="is full"):
        peers.add(later, [Wanted("bob")])
    with app.store.write() as tx:
        tx.update(Peer, absent_at=NOW)
    with pytest.raises(Conflict, match="is full"):
        peers.add(replace(app, clock=lambda: NOW + timedelta(hours=23)), [Wanted("bob")])
    assert peers.add(later, [Wanted("bob")])[0].peer.ipv4 == first.ipv4


def sell(app):
    """A node, a plan of 1,000 bytes a month, two people with a device each; one has bought, one is on trial."""
    serve(app)
    text = "plans:\n  - {name: month, days: 30, traffic: 1000, prices: {EUR: 1}}\n  - {name: trial, days: 3, trial: true}\n"
    inventory.apply(app, *parse(text, "plans"))
    users.add(app, ["alice"], telegram_id=7)
    users.add(app, ["bob"], telegram_id=8)
    subscriptions.grant(app, "alice", "month", paid="p1")
    trials.start(app, "bob")
    return [each.peer for each in peers.add(app, [Wanted("alice"), Wanted("bob")])]


def meter(peer, rx, minutes, boot="b"):
    reading = Reading(boot, 3, rx, 0, 5, NOW + timedelta(minutes=minutes))
    return traffic.Meter(peer.id, peer.user_id, NOW, reading)


def test_the_ledger_books_differences_in_days_and_months(app):
    alice, bob = sell(app)
    for minutes, rx in ((5, 400), (10, 700), (10, 700)):
        with app.store.write() as tx:
            traffic.book(tx, alice.endpoint_id, [meter(alice, rx, minutes), meter(bob, 5, minutes)])
    with app.store.write() as tx:
        traffic.book(tx, alice.endpoint_id, [meter(alice, 100, 15, boot="other")])
        traffic.forget(tx, [bob.id])
        traffic.book(tx, bob.endpoint_id, [meter(bob, 3, 15)])
    with app.store.read() as tx:
        totals = {row.id: row.rx for row in tx.all(Peer)}
        months = dict(tx.execute(sa.select(models.usage_month.c.user_id, models.usage_month.c.rx)).all())
        days = tx.execute(sa.select(sa.func.sum(models.usage.c.rx))).scalar()
    assert totals == {alice.id: 800, bob.id: 8}
    assert months == {alice.user_id: 800, bob.user_id: 8}
    assert days == 808


def test_access_by_subscription_and_quota_is_one_predicate_here_and_in_sql(app):
    alice, bob = sell(app)
    later = {"now": NOW, "trial over": NOW + timedelta(days=4), "all over": NOW + timedelta(days=31)}
    expected = {"now": {alice.id, bob.id}, "trial over": {alice.id}, "all over": set()}
    for name, now in later.items():
        with app.store.read() as tx:
            query = sa.select(models.peer.c.id).join(models.user, models.user.c.id == models.peer.c.user_id)
            assert set(tx.execute(query.where(wanted(now))).scalars()) == expected[name]
            people = persons(tx, tx.all(User), now)
            owners = {row.id: people[row.user_id] for row in tx.all(Peer)}
            assert {key for key, who in owners.items() if why_not_person(who, now) is None} == expected[name]
    with app.store.write() as tx:
        traffic.book(tx, alice.endpoint_id, [meter(alice, 1000, 5)])
    with app.store.read() as tx:
        assert {each.peer_id for each in open_peers(tx, NOW) if each.wanted} == {bob.id}
        assert why_not_person(persons(tx, tx.all(User), NOW)[alice.user_id], NOW) is Reason.QUOTA


def test_transitions_reminders_pages_and_figures_work_on_this_database(app):
    alice, _ = sell(app)
    with app.store.write() as tx:
        traffic.book(tx, alice.endpoint_id, [meter(alice, 1000, 5)])
    assert transitions.note(app) == {"quota.reached": 1}
    three = replace(app, clock=lambda: NOW + timedelta(days=3))
    assert transitions.note(three) == {"subscription.expiring_soon": 1, "subscription.expired": 1}
    assert transitions.note(three) == {}
    month = replace(app, clock=lambda: NOW + timedelta(days=30))
    assert transitions.note(month)["quota.renewed"] == 1
    assert reminders.subscriptions(replace(app, clock=lambda: NOW + timedelta(days=2, hours=1))) == 1
    assert reminders.subscriptions(replace(app, clock=lambda: NOW + timedelta(days=2, hours=1))) == 0
    with app.store.read() as tx:
        assert status.page(tx, NOW).pending_peers == 2, "one to be cut, one to be added"
        assert (
            tariffs.subscriptions(tx, NOW, timedelta(days=1), tariffs.SubscriptionFilter(states=["active"]), limit=1)[
                0
            ].user
            == "bob"
        )
        assert [row.span for row in report.by_month(tx, NOW, 2)] == ["2026-12", "2027-01"]
        assert report.shares(tx, "2027-01", "user", 5)[0].total == 1000
        assert business.months(tx, NOW, 1)[0].trials == 1
        assert b"vpnctl_trials_active 1.0" in figures.exposition(tx, NOW, ["sync"])
        assert len(notices.listed(tx, UTC)) == 1
        assert people.users(tx, NOW, limit=1)[0].used == 1000
    for name in ("prune", "remind"):
        assert jobs.module(name).run(app, jobs.Mode()).code == 0


def test_an_event_of_time_is_written_once_by_whoever_comes_first(app):
    sell(app)
    due = [Due("subscription.expired", ("subscription", "x", "alice"), NOW)]
    with app.store.write() as tx:
        assert record_due(tx, stamp(app), due * 2) == {"subscription.expired": 1}
    with app.store.write() as tx:
        assert record_due(tx, stamp(app), due) == {}
    with pytest.raises(Conflict), app.store.write() as tx:
        tx.execute(sa.update(models.event).values(once="same"))


def test_an_upgrade_from_the_first_schema_cuts_nobody_and_begins_the_ledger_where_counters_stood(url):
    assert _first_schema(url) == "0001"
    assert upgrade(url) == ("0001", models.SCHEMA)
    _came_through(url)


def _came_through(url):
    store = Store(url)
    with store.read() as tx:
        user, peer = tx.one(User), tx.one(Peer)
        assert user.unlimited is True
        assert (peer.rx, peer.tx) == (10**9, 5)
        cursor = tx.execute(sa.select(models.counter)).one()
        assert (cursor.peer_id, cursor.rx, cursor.link, cursor.boot_id) == (peer.id, 10**9, 0, "boot")
        endpoint = tx.one(rows.Endpoint)
        assert (endpoint.name, endpoint.identity, endpoint.secret_sealed, endpoint.probe_identity) == (
            "wg0",
            "pk",
            "s",
            None,
        )
        assert (endpoint.transport, endpoint.driver, peer.identity) == ("udp", "node", "key")
        assert endpoint.options == {
            "pool_v4": "10.66.0.0/16", "pool_v6": None, "dns": "", "mtu": 1420, "allowed_ips": "0.0.0.0/0",
            "keepalive": 25, "isolation": True,
        }  # fmt: skip
        assert pending_nodes(tx, NOW) == []
    store.close()
    store = Store(url)
    with store.read() as tx:
        assert compare_metadata(MigrationContext.configure(tx.connection), models.complete()) == []
        if store.path is not None:
            assert tx.connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
    store.close()


def _first_schema(url):
    """Make a database as the first version left it, with a person and a device."""
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory

    from vpnctl.store import upgrade as module

    scripts = ScriptDirectory(str(Path(module.__file__).parent / "migrations"))
    store = Store(url, check=False, exclusive=True)
    if store.path is not None:
        module._prepare(store)
    with (
        store.write() as tx,
        EnvironmentContext(Config(), scripts, fn=lambda rev, _: scripts._upgrade_revs("0001", rev)) as env,
    ):
        env.configure(connection=tx.connection, target_metadata=models.metadata, transactional_ddl=True)
        env.run_migrations()
        seen = {"at": NOW.replace(tzinfo=None) if store.path else NOW}
        for statement in FIRST_ROWS:
            tx.connection.execute(sa.text(statement), seen)
    found = store.schema()
    store.close()
    return found


FIRST_ROWS = (
    "INSERT INTO node (id, name, region, kind, host, port, login, host_key, public_host, boot_id, seen_at, created_at)"
    " VALUES ('n', 'fi', '', 'ssh', 'fi', 22, 'root', 'k', 'fi', 'boot', :at, :at)",
    "INSERT INTO endpoint (id, node_id, protocol, interface, port, pool_v4, dns, mtu, allowed_ips, keepalive, isolation,"
    " forward_rule, options, public_key, key_sealed, digest, changed_at, proven_at, created_at) VALUES ('e', 'n',"
    " 'wireguard', 'wg0', 51820, '10.66.0.0/16', '', 1420, '0.0.0.0/0', 25, true, 'none', '{}', 'pk', 's', 'd', :at, :at, :at)",
    'INSERT INTO "user" (id, name, display_name, locale, unlimited, note, created_at, approved_at)'
    " VALUES ('u', 'alice', '', 'en', false, '', :at, :at)",
    "INSERT INTO peer (id, endpoint_id, user_id, device, public_key, own_key, created_at, present_at, rx, tx)"
    " VALUES ('p', 'e', 'u', 'main', 'key', false, :at, :at, 1000000000, 5)",
)


def test_an_upgrade_waits_for_nobody_and_nobody_works_during_one(url):
    upgrade(url)
    store = Store(url)
    if store.path is not None:
        with pytest.raises(Busy):
            Store(url, exclusive=True)
    assert upgrade(url) == (models.SCHEMA, models.SCHEMA), "nothing to do needs no lock"
    store.close()
    if store.path is not None:
        alone = Store(url, exclusive=True)
        with pytest.raises(Busy):
            Store(url)
        alone.close()


@pytest.mark.parametrize(("found", "hint"), [("0000", "vpnctl db upgrade"), ("9999", "newer")])
def test_another_schema_is_refused_with_the_command_to_type(url, found, hint):
    upgrade(url)
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{found}'")
    engine.dispose()
    with pytest.raises(StateTrouble) as caught:
        Store(url)
    assert hint in caught.value.hint


# SQLite's own troubles


def test_sqlite_files_are_private_durable_and_in_wal_mode(app, settings):
    users.add(app, ["alice"])
    path = app.store.path
    if path is None:
        return
    for file in path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    with app.store.read() as tx:
        for pragma, value in (("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1)):
            assert tx.connection.exec_driver_sql(f"PRAGMA {pragma}").scalar() == value


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (lambda path: path.write_bytes(b"not a database" * 1000), "damaged or no database"),
        (lambda path: path.unlink(), "there is no database"),
        (lambda path: path.write_bytes(b""), "empty"),
    ],
)
def test_a_damaged_or_missing_sqlite_file_is_named(tmp_path, damage, text):
    path = tmp_path / "state/vpnctl.db"
    upgrade(f"sqlite:///{path}")
    damage(path)
    with pytest.raises(StateTrouble, match=text):
        Store(f"sqlite:///{path}")


def test_a_database_locked_by_another_program_is_busy_not_broken(tmp_path, monkeypatch):
    monkeypatch.setattr("vpnctl.store.connection.BUSY_SECONDS", 0.2)
    path = tmp_path / "state/vpnctl.db"
    upgrade(f"sqlite:///{path}")
    store = Store(f"sqlite:///{path}")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Busy), store.write() as tx:
        tx.set_meta("x", "1")
    other.rollback()
    with store.write() as tx:
        tx.set_meta("x", "1")


def test_damage_met_at_the_beginning_of_a_write_is_told_as_damage(tmp_path):
    path = tmp_path / "state/vpnctl.db"
    upgrade(f"sqlite:///{path}")
    store = Store(f"sqlite:///{path}")
    with store.read() as tx:
        tx.meta("x")
    for each in path.parent.glob("vpnctl.db*"):
        if not each.name.endswith(".lock"):
            each.write_bytes(b"x" * 8192)
    with pytest.raises(StateTrouble, match="damaged"), store.write() as tx:
        tx.set_meta("x", "1")


KILLED = """
import itertools, os, shutil, signal, sys, time
from pathlib import Path
from vpnctl.errors import Busy, VpnctlError
from vpnctl.store import connection, engine, upgrade
url, first = sys.argv[1], sys.argv[2]
target = count = 0
def statement(*_args):
    global count
    count += 1
    if count == target:
        os.kill(os.getpid(), signal.SIGKILL)
real = engine.engine
def traced(url, path):
    made = real(url, path)
    if path is not None:
        connection.sa_event.listen(made, "connect", lambda raw, _record: raw.set_trace_callback(statement))
    else:
        connection.sa_event.listen(made, "before_cursor_execute", statement)
        connection.sa_event.listen(made, "commit", statement)
    return made
engine.engine = traced
def run(at):
    global target, count
    code = 8
    while code == 8:  # a busy server has not noticed yet that the one before was killed, and keeps its lock
        child = os.fork()
        if child == 0:
            target, count = at, 0
            try:
                upgrade.upgrade(url)
            except Busy:
                os._exit(8)
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return code
import alembic.autogenerate, alembic.config, sqlalchemy.dialects.postgresql
for point in itertools.count(1):
    if first:
        folder = Path(url.removeprefix("sqlite:///")).parent
        shutil.rmtree(folder)
        shutil.copytree(first, folder)
    code = run(point)
    store = engine.Store(url, check=False)
    for wait in range(100):
        try:
            found = store.schema()
            break
        except VpnctlError:  # the same: what the killed one held is still locked
            time.sleep(0.1)
    store.close()
    print(code, found, run(0) if point % 10 == 0 and first else "")
    if code == 0:
        break
"""


def test_the_upgrade_killed_at_any_statement_leaves_all_as_it_was_or_done(url, tmp_path):
    """From the first schema, with data: the whole way to today's. On SQLite it is also run again after every tenth."""
    _first_schema(url)
    first = ""
    if url.startswith("sqlite"):
        first = str(tmp_path / "first")
        shutil.copytree(tmp_path / "state", first)
    done = subprocess.run([sys.executable, "-c", KILLED, url, first], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows_ = [line.split() for line in done.stdout.splitlines()]
    assert len(rows_) > 50
    assert {code for code, *_ in rows_[:-1]} == {"-9"}
    assert [schema for _, schema, *_ in rows_] == sorted(schema for _, schema, *_ in rows_), "not done, then done"
    assert {schema for _, schema, *_ in rows_} == {"0001", models.SCHEMA}
    assert {again for *_, again in (row for row in rows_ if len(row) == 3)} <= {"0"}
    _came_through(url)


def test_no_node_outlives_its_row(app):
    node = serve(app)
    with app.store.read() as tx:
        assert tx.one(Node, models.node.c.id == node.id) == node


def test_writers_of_one_process_take_turns_in_the_order_of_arrival():
    from vpnctl.store.turns import Turns

    turns, order, started = Turns(), [], []

    def write(number):
        started[number].set()
        with turns:
            order.append(number)

    started.extend(threading.Event() for _ in range(8))
    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    with turns:
        for number, thread in enumerate(threads):
            thread.start()
            started[number].wait()
            while len(turns._waiting) <= number:
                pass
    for thread in threads:
        thread.join()
    assert order == list(range(8))
    with turns:
        order.append("free again")
