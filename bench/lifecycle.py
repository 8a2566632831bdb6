"""The lifecycle on 100,000 users: deciding what expired, one traffic sample of 10,000 peers, lists on that database."""

from __future__ import annotations

import resource
import sqlite3
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa

from vpnctl import settings as settings_module
from vpnctl.actions.fleet import endpoints
from vpnctl.actions.fleet.nodes import save
from vpnctl.actions.sales import transitions
from vpnctl.actions.service import state
from vpnctl.app import App, open_app
from vpnctl.remote.shell import Login
from vpnctl.rules.ledger import Reading
from vpnctl.store import models, traffic

USERS, DUE, PEERS = 100_000, 1_000, 10_000
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJbeUjQt/bDeAK6smLQiZsG7ODkwca1KgBwY8xy0jyuj"
NOW = datetime.now(UTC)
Row = Callable[[str, float, float, str, str], None]


def fill(home: Path, *, peers: int = USERS) -> App:
    """Make a state with 100,000 people who each have a subscription and a device; 1 % have just ended."""
    env = {"HOME": str(home), "VPNCTL_STATE_DIR": str(home / "state"), "VPNCTL_KEY_FILE": str(home / "vault.key")}
    made = settings_module.load(None, env)
    state.init(made, "cli:bench")
    app = open_app(made, "cli:bench")
    with app.store.write() as tx:
        nodes = [
            save(tx, app, Login(f"n{number}", "ssh", f"n{number}", 22, "root", KEY), None, {}) for number in range(50)
        ]
    places = [endpoints.add(app, node.name, "wireguard", {}).made.id for node in nodes]
    ids = [str(uuid.uuid4()) for _ in range(USERS)]
    with app.store.write() as tx:
        tx.execute(sa.insert(models.user), [_user(number, key) for number, key in enumerate(ids)])
        tx.execute(sa.insert(models.subscription), [_subscription(number, key) for number, key in enumerate(ids)])
        tx.execute(sa.insert(models.peer), [_peer(number, ids[number], places) for number in range(peers)])
        tx.execute(sa.update(models.endpoint).values(proven_at=NOW, digest="x" * 64))
    return app


def _user(number: int, key: str) -> dict[str, object]:
    text = {"display_name": "", "locale": "en", "note": ""}
    return {"id": key, "name": f"u{number:06}", "approved_at": NOW, "unlimited": False, "created_at": NOW, **text}


def _subscription(number: int, key: str) -> dict[str, object]:
    ends = NOW - timedelta(seconds=number + 1) if number < DUE else NOW + timedelta(days=2 + number % 300)
    return {
        "id": str(uuid.uuid4()), "user_id": key, "plan": "month", "days": 30, "locations": [], "prices": {},
        "source": "grant", "starts_at": ends - timedelta(days=400), "ends_at": ends, "noted": 0, "created_at": NOW,
    }  # fmt: skip


def _peer(number: int, owner: str, places: list[str]) -> dict[str, object]:
    gone = number < DUE
    return {
        "id": str(uuid.uuid4()), "endpoint_id": places[number % 50], "user_id": owner, "device": "main",
        "identity": f"{number:044}", "own_key": False, "ipv4": f"10.{number % 50}.{number // 250 % 250}.{number % 250}"
        if number < 12_000 else None, "created_at": NOW, "present_at": None if gone else NOW,
        "absent_at": NOW if gone else None, "rx": 0, "tx": 0,
    }  # fmt: skip


def expire(app: App, home: Path, row: Row) -> None:
    """The decision part of the job against the bare SQL that does the same."""
    copy = home / "bare.db"
    source = sqlite3.connect(app.settings.sqlite_path)
    target = sqlite3.connect(copy)
    source.backup(target)
    source.close()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    counts = transitions.note(app)
    ours = time.perf_counter() - began
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    began = time.perf_counter()
    _bare_expire(target)
    bare = time.perf_counter() - began
    target.close()
    row(
        "expire on 100,000 users, 1 % due : the bare SQL",
        ours,
        bare,
        "<= 3",
        f"{sum(counts.values())} events, +{grown:.0f} MiB",
    )


def _bare_expire(target: sqlite3.Connection) -> None:
    target.execute("PRAGMA journal_mode=WAL")
    target.execute("PRAGMA synchronous=FULL")
    now = NOW.replace(tzinfo=None).isoformat(" ")
    due = target.execute(
        "SELECT s.id, u.name, s.ends_at FROM subscription s JOIN user u ON u.id = s.user_id"
        " WHERE s.noted < 2 AND s.ends_at <= ?", (now,)
    ).fetchall()  # fmt: skip
    insert = (
        "INSERT INTO event (at, recorded_at, actor, verb, subject_kind, subject_id, subject, run_id, once)"
        " VALUES (?, ?, 'job', ?, 'subscription', ?, ?, 'r', ?)"
    )
    for verb in ("subscription.expiring_soon", "subscription.expired"):
        target.executemany(insert, [(ends, now, verb, key, name, f"{key} {verb} {ends}") for key, name, ends in due])
    target.executemany("UPDATE subscription SET noted = 2 WHERE id = ?", [(key,) for key, _, _ in due])
    target.commit()


def sample(app: App, home: Path, row: Row) -> None:
    """One reading of 10,000 peers into the ledger against the bare upsert of counters and days."""
    with app.store.write() as tx:
        place = tx.execute(sa.select(models.endpoint.c.id).limit(1)).scalar()
        chosen = sa.select(models.peer.c.id).where(models.peer.c.ipv4.is_not(None)).limit(PEERS)
        tx.execute(sa.update(models.peer).where(models.peer.c.id.in_(chosen)).values(endpoint_id=place))
        found = tx.execute(
            sa.select(models.peer.c.id, models.peer.c.user_id).where(models.peer.c.endpoint_id == place).limit(PEERS)
        ).all()
    for number in (1, 2):
        meters = [
            traffic.Meter(
                key, owner, NOW, Reading("boot", 3, number * 1000, number * 2000, 5, NOW + timedelta(minutes=number))
            )
            for key, owner in found
        ]
        began = time.perf_counter()
        with app.store.write() as tx:
            traffic.book(tx, place, meters)
        ours = time.perf_counter() - began
    bare = sqlite3.connect(home / "upsert.db", isolation_level=None)
    bare.execute("PRAGMA journal_mode=WAL")
    bare.execute("PRAGMA synchronous=FULL")
    bare.execute("CREATE TABLE counter (peer TEXT PRIMARY KEY, boot TEXT, rx INT, tx INT)")
    bare.execute("CREATE TABLE usage (peer TEXT, day TEXT, rx INT, tx INT, PRIMARY KEY (peer, day))")
    for number in (1, 2):
        began = time.perf_counter()
        bare.execute("BEGIN IMMEDIATE")
        bare.executemany(
            "INSERT INTO counter VALUES (?, 'boot', ?, ?) ON CONFLICT (peer) DO UPDATE SET rx = excluded.rx, tx = excluded.tx",
            [(key, number, number) for key, _ in found],
        )
        bare.executemany(
            "INSERT INTO usage VALUES (?, '2027-01-01', ?, ?) ON CONFLICT (peer, day)"
            " DO UPDATE SET rx = usage.rx + excluded.rx, tx = usage.tx + excluded.tx",
            [(key, number, number) for key, _ in found],
        )
        bare.execute("COMMIT")
        floor = time.perf_counter() - began
    bare.close()
    row("one traffic sample of 10,000 peers : the bare upserts", ours, floor, "<= 3", "")


def run(home: Path, row: Row) -> App:
    """Print the rows; return the app of the filled state."""
    home.mkdir()
    app = fill(home)
    expire(app, home, row)
    sample(replace(app), home, row)
    return app
