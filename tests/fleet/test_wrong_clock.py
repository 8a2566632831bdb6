"""A wrong clock cuts nobody, whether a job noted it or not."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import strategies as st

from vpnctl.actions.fleet import clock as guard
from vpnctl.actions.fleet.settle import Wish, settle
from vpnctl.actions.people import peers, users
from vpnctl.actions.people.issue import Wanted
from vpnctl.rules.changes import SYSTEM
from vpnctl.store.rows import Peer

ALL = Wish(scope=SYSTEM, always=True)


@pytest.mark.parametrize("days", [366, 40, -366, -2])
def test_a_wrong_clock_that_no_job_noted_yet_cuts_nobody(app, serve, clock, days):
    node = serve()
    names = [f"u{number}" for number in range(5)]
    users.add(app, names, unlimited=True)
    peers.add(app, [Wanted(name) for name in names])
    with app.store.write() as tx:
        tx.update(Peer, expires_at=clock() + timedelta(days=30))
    settle(app, [node.id])
    clock.jump(days=days)
    settle(app, [node.id], ALL)
    assert len(node.fake.live_keys()) == 5


def test_nothing_is_pruned_by_a_wrong_clock(service, clock):
    clock.jump(days=366)
    for first in ((), ("node", "sync"), ("user", "add", "alice")):
        assert not first or service(*first).code in (0, 6)
        assert service("jobs", "run", "prune").code == 6, first


def test_a_clock_behind_what_was_recorded_is_named(app, serve, clock):
    serve()
    clock.jump(days=-2)
    assert "behind what was recorded" in guard.backward(app)


names = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,10}", fullmatch=True)


def test_time_cuts_nobody_while_the_interface_is_down_either(app, serve, clock):
    node = serve()
    names = [f"u{number}" for number in range(30)]
    users.add(app, names, unlimited=True)
    peers.add(app, [Wanted(name) for name in names])
    with app.store.write() as tx:
        tx.update(Peer, expires_at=clock() + timedelta(days=30))
    settle(app, [node.id])
    clock.forward(days=31)
    node.fake.links.clear()
    assert settle(app, [node.id], ALL)[0].code == 6
    assert len(node.fake.live_keys()) == 30
