"""`vpnctl web run` killed with -9 while it is asked to change things: nothing is lost, nothing is done twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import httpx
import pytest

from tests.sales.conftest import books, filled  # noqa: F401 - fixtures
from tests.support.website import free
from vpnctl.actions.service import apikeys
from vpnctl.reports import audit

KILLS, CLIENTS = 4, 6


@pytest.fixture
def program(books, settings):  # noqa: F811
    """What starts the process on either database, and its address."""
    listen = free()
    env = {**os.environ, "VPNCTL_STATE_DIR": str(settings.state_dir), "VPNCTL_KEY_FILE": str(settings.key_file)}
    env |= {"VPNCTL_DATABASE_URL": books.store.url, "VPNCTL_WEB_LISTEN": str(listen)}
    running = []

    def start():
        running.append(
            subprocess.Popen([sys.executable, "-m", "vpnctl", "web", "run"], env=env, stderr=subprocess.DEVNULL)
        )
        return running[-1]

    yield start, f"http://{listen}"
    for each in running:
        if each.poll() is None:
            each.kill()
            each.wait(20)


def test_every_request_that_was_answered_is_done_once(books, program):  # noqa: F811
    start, url = program
    key = apikeys.add(books, "ops", ["people"], None).key.reveal()
    headers = {"Authorization": f"Bearer {key}"}
    answered, stop = {}, threading.Event()

    def ask(client):
        number = 0
        while not stop.is_set():
            name = f"c{client}n{number}"
            again = headers | {"Idempotency-Key": name}
            try:
                found = httpx.post(f"{url}/api/v1/users", json={"name": name}, headers=again, timeout=20)
            except httpx.TransportError:
                time.sleep(0.05)
                continue  # nobody knows whether it was done: the same is asked again
            if found.status_code in (429, 503):
                time.sleep(0.05)
                continue
            assert found.status_code == 200, found.text
            answered[name] = found.json()["run"]
            number += 1

    threads = [threading.Thread(target=ask, args=(client,)) for client in range(CLIENTS)]
    running = start()
    for thread in threads:
        thread.start()
    for _ in range(KILLS):
        seen, end = len(answered), time.monotonic() + 40
        while len(answered) < seen + 15 and time.monotonic() < end:
            time.sleep(0.01)
        running.send_signal(signal.SIGKILL)
        running.wait(20)
        running = start()
    seen, end = len(answered), time.monotonic() + 40
    while len(answered) < seen + 15 and time.monotonic() < end:
        time.sleep(0.01)
    stop.set()
    for thread in threads:
        thread.join(60)
    with books.store.read() as tx:
        added = audit.behind(tx, 0, verb="user.add", limit=100_000)
    names = [each.subject for each in added]
    assert len(names) == len(set(names)), "nobody was added twice"
    assert set(answered) <= set(names), "whoever was answered is there"
    assert {each.subject: each.run_id for each in added if each.subject in answered} == answered
    assert len(answered) >= 15 * KILLS
