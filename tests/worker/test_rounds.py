"""Jobs by workers: rounds in parts, each part done by one; what a killed worker held is done by another."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import timedelta

import pytest

from tests.worker.test_worker import until
from vpnctl import jobs
from vpnctl.store import leases
from vpnctl.worker import parts, presence, rounds
from vpnctl.worker.rounds import Rounds

HEALTH = jobs.module("health").TIMER


@pytest.fixture
def eight(app, serve, monkeypatch):
    """Eight nodes, in parts of two."""
    monkeypatch.setattr(parts, "SIZE", 2)
    return [serve(f"n{number}", provision=False) for number in range(8)]


def test_a_round_is_cut_into_parts_that_are_taken_once(app, eight):
    taken = [parts.claim(app, "health", HEALTH, holder) for holder in ("a", "b", "a", "b")]
    assert sorted(node.name for part in taken for node in part.nodes) == [each.name for each in eight]
    assert parts.claim(app, "health", HEALTH, "c") is None


def test_the_next_round_begins_anew(app, clock, eight):
    assert all(parts.claim(app, "health", HEALTH, "a") for _ in range(4))
    assert parts.claim(app, "health", HEALTH, "a") is None
    clock.forward(seconds=60)
    assert parts.claim(app, "health", HEALTH, "a") is not None


def test_a_part_of_a_killed_worker_is_taken_by_another_in_the_same_round(app, clock, eight):
    usage = jobs.module("usage").TIMER
    lost = parts.claim(app, "usage", usage, "killed")
    for _ in range(3):
        parts.done(app, parts.claim(app, "usage", usage, "b"), usage, "b")
    assert parts.claim(app, "usage", usage, "b") is None
    clock.forward(seconds=usage.limit + 1)
    again = parts.claim(app, "usage", usage, "b")
    assert again is not None
    assert again.nodes == lost.nodes


def test_a_part_that_is_done_stays_done(app, clock, eight):
    for _ in range(4):
        parts.done(app, parts.claim(app, "health", HEALTH, "a"), HEALTH, "a")
    clock.forward(seconds=55)
    assert parts.claim(app, "health", HEALTH, "b") is None


def test_a_round_over_no_nodes_has_no_part(app):
    assert parts.claim(app, "health", HEALTH, "a") is None


def test_a_lease_ends_by_itself_and_is_only_its_holders(app, clock):
    hour = timedelta(hours=1)
    with app.store.write() as tx:
        assert leases.take(tx, ["x", "y", "z"], "a", app.clock(), hour, 2) == ["x", "y"]
        assert leases.take(tx, ["x", "y", "z"], "b", app.clock(), hour, 9) == ["z"]
        leases.release(tx, ["x"], "b")
        assert leases.take(tx, ["x"], "b", app.clock(), hour, 1) == []
        leases.release(tx, ["x"], "a")
        assert leases.take(tx, ["x"], "b", app.clock(), hour, 1) == ["x"]
    clock.forward(hours=1)
    with app.store.write() as tx:
        assert leases.take(tx, ["x", "y", "z"], "c", app.clock(), hour, 9) == ["x", "y", "z"]


@pytest.fixture
def running(monkeypatch):
    """Workers that run jobs; what each looked at."""
    monkeypatch.setattr(rounds, "TICK", 0.02)
    looked = Counter()
    stops = []

    def start(app, name):
        stop = threading.Event()
        thread = threading.Thread(target=Rounds(app, name, lambda text: looked.update([text])).work, args=(stop,))
        thread.start()
        stops.append((stop, thread))

    yield start, looked
    for stop, thread in stops:
        stop.set()
        thread.join(20)
        assert not thread.is_alive()


@pytest.mark.postgres
def test_two_machines_share_a_round(machines, monkeypatch, running, fleet):
    monkeypatch.setattr(parts, "SIZE", 1)
    start, _log = running
    first, second = machines(), machines()
    from tests.conftest import serving

    nodes = [serving(first, fleet)(f"n{number}", provision=False) for number in range(6)]
    done = Counter()
    original = jobs.run_part

    def counted(app, name, given):
        done.update((name, str(app.settings.state_dir), each.name) for each in given)
        return original(app, name, given)

    monkeypatch.setattr(jobs, "run_part", counted)
    start(first, "one")
    start(second, "two")
    until(lambda: sum(1 for name, _, _ in done if name == "health") == len(nodes), 30)
    assert all(count == 1 for count in done.values()), "nobody was looked at twice in the round"
    until(lambda: {each.job for each in jobs.history(first, None, 200)} >= {"expire", "prune", "health", "usage"}, 30)


def test_every_job_runs_without_timers(app, serve, running):
    serve("fi")
    start, _log = running
    start(app, "one")
    until(lambda: {each.job for each in jobs.history(app, None, 200) if each.finished_at} == set(jobs.NAMES), 60)


def test_a_worker_says_that_it_lives_and_that_it_stopped(app, service, monkeypatch, clock):
    monkeypatch.setattr(presence, "BEAT", 0.02)
    stop = threading.Event()
    shown = presence.Presence(app, "w1", lambda: (7, 3), print)
    thread = threading.Thread(target=shown.work, args=(stop,))
    thread.start()
    until(lambda: [each["settled"] for each in service("worker", "list", "--json").json] == [7])
    clock.forward(minutes=1)
    until(lambda: service("worker", "list", "--json").json[0]["state"] == "works")
    stop.set()
    thread.join()
    assert service("worker", "list", "--json").json == []
    assert [each["state"] for each in service("worker", "list", "--stopped", "--json").json] == ["stopped"]
