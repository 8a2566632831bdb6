"""The whole database in one file, from and into either kind: every row, references within a table included."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
import sqlalchemy as sa

from tests.support.postgres import database
from vpnctl.actions.people import migration, peers, users
from vpnctl.actions.people.issue import Wanted
from vpnctl.actions.people.migration import Destination
from vpnctl.app import open_app
from vpnctl.errors import InvalidInput
from vpnctl.store import models, snapshot
from vpnctl.store.engine import Store

KINDS = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]


def url_of(kind, tmp_path, request):
    if kind == "sqlite":
        return f"sqlite:///{tmp_path / 'other.db'}"
    return database(request.getfixturevalue("postgres"))


def rows(store):
    """Every row of every table."""
    with store.read() as tx:
        return {
            table.name: [tuple(row) for row in tx.execute(sa.select(table).order_by(*table.primary_key.columns))]
            for table in models.metadata.sorted_tables
        }


@pytest.fixture
def full(app, serve):
    """A service with somebody on the way from one node to the other."""
    serve("fi")
    serve("de")
    users.add(app, ["alice"])
    peers.add(app, [Wanted("alice", "phone", "fi")])
    migration.start(app, "alice", Destination("de"))
    return app


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_put_back_is_what_was_taken(full, tmp_path, request, kind):
    taken = rows(full.store)
    snapshot.take(full.store, tmp_path / "snapshot.db")
    url = url_of(kind, tmp_path, request)
    snapshot.put(tmp_path / "snapshot.db", url)
    there = Store(url)
    assert rows(there) == taken
    snapshot.take(there, tmp_path / "again.db")
    there.close()
    again = Store(f"sqlite:///{tmp_path / 'again.db'}")
    assert rows(again) == taken
    snapshot.check(again)
    again.close()


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_next_does_not_collide_with_what_was_put_back(full, tmp_path, request, kind):
    url = url_of(kind, tmp_path, request)
    snapshot.take(full.store, tmp_path / "snapshot.db")
    snapshot.put(tmp_path / "snapshot.db", url)
    other = open_app(replace(full.settings, database_url=url), "cli:test")
    users.add(other, ["bob"])
    peers.add(other, [Wanted("bob", "phone", "fi")])
    other.store.close()


@pytest.mark.parametrize("kind", KINDS)
def test_a_database_that_is_in_use_is_refused(full, tmp_path, request, kind):
    url = url_of(kind, tmp_path, request)
    for name in ("one", "two"):
        snapshot.take(full.store, tmp_path / name)
    snapshot.put(tmp_path / "one", url)
    with pytest.raises(InvalidInput):
        snapshot.put(tmp_path / "two", url)
    there = Store(url)
    assert rows(there) == rows(full.store)
    there.close()


def test_what_lies_aside_in_clear_is_gone_after_a_request_to_end(tmp_path):
    script = (
        "import time; from pathlib import Path; from vpnctl.store.aside import private_folder\n"
        f"with private_folder(Path({str(tmp_path)!r})) as found:\n"
        "    (found / 'secret').write_text('x'); print('there', flush=True); time.sleep(60)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "there\n"
    process.terminate()
    process.communicate(timeout=20)
    assert list(tmp_path.iterdir()) == []
