"""What the web process costs over 100,000 people: lists and the status page under a steady load, and its memory."""

from __future__ import annotations

import random
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from bench import lifecycle, measure
from tests.support.website import free
from vpnctl.actions.service import apikeys
from vpnctl.app import App

PER_SECOND, SECONDS, THREADS = 50, 20, 8
LIST_MS, STATUS_MS = 50, 150
Row = Callable[..., None]


def run(home: Path, program: str, _row: Row) -> None:
    """Print the figures."""
    app = lifecycle.fill(home)
    with _serving(app, home, program) as (url, process):
        key = apikeys.add(app, "bench", ["read"], None).key.reveal()
        with httpx.Client(base_url=f"{url}/api/v1", headers={"Authorization": f"Bearer {key}"}) as client:
            client.get("/users")
            lists = _steadily(lambda: _page(client))
            pages = [_timed(lambda: client.get("/status")) for _ in range(15)]
        print(f"{'memory of `web run` after that':<58} {_rss(process):>8.0f} MiB", flush=True)
    _say("API list of 50 of 100,000 people, 50 requests a second, p95", lists, LIST_MS)
    _say("API status page over 100,000 people, p95", pages, STATUS_MS)


def _page(client: httpx.Client) -> None:
    answer = client.get("/users", params={"limit": 50, "after": f"u{random.randrange(99_000):06}"})
    assert len(answer.json()["items"]) == 50


def _steadily(work: Callable[[], Any]) -> list[float]:
    """Begin `work` so often a second, whether or not the one before is done; return how long each took from its turn."""
    begun = time.monotonic() + 0.5

    def one(number: int) -> float:
        turn = begun + number / PER_SECOND
        time.sleep(max(0.0, turn - time.monotonic()))
        work()
        return time.monotonic() - turn

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(one, range(PER_SECOND * SECONDS)))


def _timed(work: Callable[[], Any]) -> float:
    begun = time.monotonic()
    work()
    return time.monotonic() - begun


def _say(what: str, took: list[float], goal: int) -> None:
    p95 = statistics.quantiles(took, n=20)[-1] * 1000
    print(f"{what:<58} {p95:>8.0f} ms  median {statistics.median(took) * 1000:.0f}  goal {goal} ms", flush=True)


@contextmanager
def _serving(app: App, home: Path, program: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    listen = free()
    env = {**measure.clean_env(home), "VPNCTL_WEB_LISTEN": str(listen)}
    env["VPNCTL_DATABASE_URL"] = app.store.url
    process = subprocess.Popen([program, "web", "run"], env=env, stderr=subprocess.DEVNULL)
    try:
        while True:
            try:
                httpx.get(f"http://{listen}/readyz").raise_for_status()
                break
            except httpx.HTTPError:
                time.sleep(0.1)
        yield f"http://{listen}", process
    finally:
        process.terminate()
        process.wait(30)


def _rss(process: subprocess.Popen[bytes]) -> float:
    text = Path(f"/proc/{process.pid}/smaps_rollup").read_text(encoding="ascii")
    return int(text.split("\nPss:")[1].split()[0]) / 1024
