"""Several workers on one PostgreSQL database: each node is settled by one, a killed one's by another, at once."""

from __future__ import annotations

import contextlib
import threading
import time

import pytest

from tests.conftest import serving
from tests.support.working import working
from tests.worker.test_worker import until
from vpnctl.actions.people import peers, users
from vpnctl.actions.people.issue import Wanted
from vpnctl.store.listening import NewsListener
from vpnctl.store.queue import pending_nodes
from vpnctl.worker import claims, settling, worker
from vpnctl.worker.claims import Shared

pytestmark = pytest.mark.postgres


@pytest.fixture
def workers(monkeypatch):
    """What starts workers."""
    monkeypatch.setattr(worker, "WATCH", 0.05)
    with contextlib.ExitStack() as running:
        yield lambda app: running.enter_context(working(app))


def test_a_commit_elsewhere_is_heard_at_once(machines):
    here, there = machines(), machines()
    listener = NewsListener(here.store)
    assert listener.wait(0) is True, "the first look is due anyway"
    assert listener.wait(0.1) is False
    timer = threading.Timer(0.2, lambda: users.add(there, ["anna"]))
    timer.start()
    begun = time.monotonic()
    assert listener.wait(20) is True
    assert time.monotonic() - begun < 10
    timer.join()
    listener.close()


def test_what_is_rolled_back_is_not_heard(machines):
    here, there = machines(), machines()
    listener = NewsListener(here.store)
    listener.wait(0)
    with pytest.raises(RuntimeError), there.store.write() as tx:
        tx.wake()
        raise RuntimeError
    assert listener.wait(0.5) is False
    listener.close()


def test_four_workers_settle_each_node_once_and_at_once(machines, workers, fleet, monkeypatch):
    monkeypatch.setattr(settling, "LOOK", 30.0)  # so that only hearing of it is quick enough
    first = machines()
    nodes = [serving(first, fleet)(f"n{number}") for number in range(12)]
    for app in [first, *(machines() for _ in range(3))]:
        workers(app)
    users.add(first, ["anna"])
    time.sleep(1)
    for node in nodes:
        node.fake.calls = 0
    issued = peers.add(first, [Wanted("anna", node.name, node.name) for node in nodes])
    keys = {each.node.name: each.peer.identity for each in issued}
    until(lambda: all(keys[node.name] in node.fake.live_keys() for node in nodes), 20)

    def agreed():
        with first.store.read() as tx:
            return not pending_nodes(tx, first.clock())

    until(agreed, 20)
    time.sleep(1)
    calls = [node.fake.calls for node in nodes]
    assert max(calls) <= 4, f"a look and an apply each, and rarely a second worker: {calls}"


def test_a_node_that_another_holds_is_settled_when_that_one_is_gone(machines, workers, fleet, clock):
    first = machines()
    node = serving(first, fleet)("fi")
    users.add(first, ["anna"])
    assert Shared(first, "killed").take([node.id], 1) == [node.id]
    log = workers(first)
    key = peers.add(first, [Wanted("anna")])[0].peer.identity
    time.sleep(1.5)
    assert key not in node.fake.live_keys(), log
    clock.forward(seconds=claims.LASTS.total_seconds() + 1)
    until(lambda: key in node.fake.live_keys(), 20)


def test_a_change_while_a_node_is_being_settled_is_not_forgotten(machines, workers, fleet):
    first = machines()
    node = serving(first, fleet)("fi")
    users.add(first, ["anna"])
    for app in (first, machines()):
        workers(app)
    for number in range(10):
        peers.add(first, [Wanted("anna", f"d{number}")])
        time.sleep(0.03)
    until(lambda: len(node.fake.live_keys()) == 10, 20)
