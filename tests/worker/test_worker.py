"""The worker: what others wrote is settled without a word to it, and work that one does at a time is done by one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest

from tests.support.postgres import database
from tests.support.working import working
from vpnctl import filelock
from vpnctl.actions.exclusive import exclusive
from vpnctl.actions.people import peers, users
from vpnctl.actions.people.issue import Wanted
from vpnctl.app import App
from vpnctl.errors import Busy
from vpnctl.store.engine import Store
from vpnctl.store.upgrade import upgrade
from vpnctl.worker import settling, worker

TAKEN = Busy("it is being done already", "wait")


def until(true, seconds=10):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture
def at_work(app, monkeypatch):
    """A running worker; everything is looked at without a pause."""
    monkeypatch.setattr(settling, "LOOK", 0.05)
    monkeypatch.setattr(worker, "WATCH", 0.05)
    with working(app) as log:
        yield log


def test_what_another_program_wrote_is_settled_without_a_word(app, serve, at_work):
    node = serve()
    users.add(app, ["alice"])
    issued = peers.add(app, [Wanted("alice")])[0]
    until(lambda: issued.peer.identity in node.fake.live_keys())
    peers.revoke(app, "alice")
    until(lambda: issued.peer.identity not in node.fake.live_keys())


def test_a_node_that_stays_pending_is_tried_again_but_not_all_the_time(app, serve, monkeypatch):
    node = serve()
    users.add(app, ["alice"])
    node.fake.down = True
    peers.add(app, [Wanted("alice")])
    done = threading.Event()
    healer = settling.Healer(app, done.set, lambda _text: None)
    assert healer.due() == [node.id]
    healer.settler.ask(healer.due())
    assert done.wait(10)
    assert healer.due() == []
    monkeypatch.setattr(settling, "AGAIN", 0.0)
    assert healer.due() == [node.id]
    healer.settler.close()


def test_a_part_that_died_ends_the_worker(app, monkeypatch):
    monkeypatch.setattr(worker, "WATCH", 0.01)
    monkeypatch.setattr(settling.Healer, "work", lambda *_args: None)
    with pytest.raises(Exception, match="a part of the worker died"):
        worker.run(app, lambda _text: None, threading.Event())


def test_the_command_works_until_it_is_told_to_stop(settings, app, tmp_path):
    env = os.environ | {"VPNCTL_STATE_DIR": str(settings.state_dir), "VPNCTL_KEY_FILE": str(settings.key_file)}
    command = [sys.executable, "-P", "-m", "vpnctl", "worker", "run"]
    process = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    assert "the worker settles nodes and sends messages" in process.stderr.readline()
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0


def test_on_one_machine_one_process_does_it(app):
    with exclusive(app, "thing", TAKEN):
        with pytest.raises(Busy), exclusive(app, "thing", TAKEN):
            pass
        with exclusive(app, "other", TAKEN):
            pass
    with exclusive(app, "thing", TAKEN):
        pass


@pytest.fixture
def two_machines(postgres, app, tmp_path):
    """Two controllers with folders of their own on one PostgreSQL database."""
    url = database(postgres)
    upgrade(url)
    stores = [Store(url), Store(url)]
    yield [replace(app, store=store, settings=replace(app.settings, state_dir=tmp_path / str(number))) for number, store in enumerate(stores)]  # fmt: skip
    for store in stores:
        store.close()


def test_a_second_controller_is_kept_out_by_the_database(two_machines: list[App]):
    one, two = two_machines
    with exclusive(one, "job-expire", TAKEN):
        with pytest.raises(Busy, match="on another machine"), exclusive(two, "job-expire", TAKEN):
            pass
        with exclusive(two, "job-sync", TAKEN):
            pass
    with exclusive(two, "job-expire", TAKEN):
        pass


def test_a_controller_that_was_killed_keeps_nobody_out(two_machines: list[App]):
    one, two = two_machines
    with one.store.exclusive("job-expire") as first:
        assert first
        one.store.engine.dispose()
        with one.store.engine.connect() as connection:  # what the server does when a client is gone
            connection.exec_driver_sql(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ExclusiveLock'"
                " AND pid <> pg_backend_pid()"
            )
        with exclusive(two, "job-expire", TAKEN):
            pass


def test_a_lock_ends_with_its_process(tmp_path):
    path = tmp_path / "lock"
    script = f"from pathlib import Path; from vpnctl import filelock; filelock.take(Path({str(path)!r})); print('held', flush=True); input()"
    process = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    assert filelock.is_held(path)
    assert filelock.take(path) is None
    process.kill()
    process.wait()
    assert not filelock.is_held(path)
