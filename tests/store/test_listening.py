"""Hearing of commits on SQLite: of other connections and other processes, and of nothing that nobody waits for."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest

from vpnctl.actions.people import users
from vpnctl.store.listening import NewsListener


@pytest.fixture
def listener(app):
    made = NewsListener(app.store)
    made.wait(0)
    made.wait(0)
    yield made
    made.close()


def test_without_news_it_says_so_after_its_time(listener):
    begun = time.monotonic()
    assert listener.wait(0.3) is False
    assert time.monotonic() - begun >= 0.3


def test_a_commit_of_this_process_is_heard(app, listener):
    timer = threading.Timer(0.2, lambda: users.add(app, ["anna"]))
    timer.start()
    begun = time.monotonic()
    assert listener.wait(20) is True
    assert time.monotonic() - begun < 10
    timer.join()
    assert listener.wait(0.2) is False, "once"


def test_a_commit_of_another_process_is_heard(app, listener, settings):
    code = "import sqlite3, sys; base = sqlite3.connect(sys.argv[1]); base.execute(sys.argv[2]); base.commit()"
    insert = "INSERT INTO webhook_event (id, provider, event_id, about, received_at, not_before, tries) VALUES ('1', 'x', 'y', 'z', '2027', '2027', 0)"
    subprocess.run([sys.executable, "-c", code, str(settings.sqlite_path), insert], check=True)
    assert listener.wait(5) is True


def test_what_nobody_waits_for_wakes_nobody(app, listener):
    with app.store.write() as tx:
        tx.set_meta("something", "else")
    assert listener.wait(0.3) is False


def test_a_broken_connection_counts_as_news_and_is_opened_anew(app, listener):
    listener._connection.close()
    assert listener.wait(0.1) is False
    assert listener.wait(0.1) is True, "opened anew, something may have come meanwhile"
    listener.wait(0)
    assert listener.wait(0.1) is False
