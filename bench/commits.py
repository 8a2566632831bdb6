"""Verbs a second, one after another and from four threads, on SQLite and on a PostgreSQL that syncs each commit."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from tests.support.postgres import NotHere, database, server
from vpnctl.actions.people import users
from vpnctl.app import App
from vpnctl.settings import load
from vpnctl.store import vault
from vpnctl.store.engine import Store
from vpnctl.store.upgrade import upgrade

VERBS = 400


def run(home: Path) -> None:
    """Print commits a second; a verb here changes a user's limit and records the event."""
    home.mkdir()
    _on(home, "SQLite", f"sqlite:///{home / 'vpnctl.db'}")
    try:
        with server(durable=True) as base:
            _on(home, "PostgreSQL", database(base))
    except NotHere as why:
        print(f"the figures of PostgreSQL were left out: {why}")


def _on(home: Path, label: str, url: str) -> None:
    settings = load(None, {"HOME": str(home), "VPNCTL_STATE_DIR": str(home), "VPNCTL_KEY_FILE": str(home / label)})
    upgrade(url)
    app = App(settings, Store(url), vault.create(settings.key_file), None, "cli:bench", clock=lambda: datetime.now(UTC))
    users.add(app, [f"u{number}" for number in range(4)])

    def work(who: int) -> None:
        for number in range(VERBS // 4):
            users.change(app, f"u{who}", {"device_limit": number + 1})

    for threads in (1, 4):
        began = time.perf_counter()
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(work, range(4)))
        print(
            f"commits a second on {label}, {threads} at once {VERBS / (time.perf_counter() - began):>30.0f}", flush=True
        )
    app.store.close()
