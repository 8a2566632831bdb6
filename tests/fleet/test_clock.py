"""A clock that jumps cuts nobody: the guard of jobs and of settling."""

from __future__ import annotations

from datetime import timedelta

import pytest

from vpnctl import jobs
from vpnctl.actions.fleet import clock as guard
from vpnctl.actions.fleet.settle import Wish, settle
from vpnctl.actions.people import peers, users
from vpnctl.actions.people.issue import Wanted
from vpnctl.actions.sales import subscriptions
from vpnctl.actions.service import inventory
from vpnctl.actions.service.inventory_form import parse
from vpnctl.errors import Stopped
from vpnctl.rules.clockjump import Tick, jumped, tick

HOUR, DAY = 3600.0, 86400.0


@pytest.mark.parametrize(
    ("last", "now", "words"),
    [
        (None, Tick(1e9, "a", 5), ""),
        (Tick(1e9, "a", 5), Tick(1e9 + HOUR, "a", 5 + HOUR), ""),
        (Tick(1e9, "a", 5), Tick(1e9 + HOUR + 599, "a", 5 + HOUR), ""),
        (Tick(1e9, "a", 5), Tick(1e9 + DAY, "a", 305), "forward by 24 hours"),
        (Tick(1e9, "a", 5), Tick(1e9 - DAY, "a", 305), "back by 24 hours"),
        (Tick(1e9, "a", 5), Tick(1e9 + 3 * DAY, "b", 60), ""),
        (Tick(1e9, "a", 5), Tick(1e9 + 8 * DAY, "b", 60), "forward by 8 days"),
        (Tick(1e9, "a", 5), Tick(1e9 - HOUR, "b", 60), "back by 61 minutes"),
        (Tick(1e9, "a", 5), Tick(1e9 + 60, "b", DAY), "back by 24 hours"),
        (Tick(1e9, "a", 5), Tick(1e9 + 30 * DAY, "a", 5 + 30 * DAY), ""),
    ],
    ids=["first", "normal", "ntp", "forward", "back", "off for three days", "off for eight", "back over a boot",
         "boot says more than the clock", "no job for a month"],
)  # fmt: skip
def test_a_jump_is_told_from_time_that_passed(last, now, words):
    found = jumped(last, now)
    assert (words in found) if words else found == ""


def test_a_tick_is_read_back_as_it_was_written():
    assert tick(Tick(1.5, "b", 2.5).text()) == Tick(1.5, "b", 2.5)
    assert tick(None) is None


@pytest.fixture
def sold(app, serve, clock):
    """One node, one person whose month ends in 30 days, and a job that has noted the clock."""
    node = serve()
    inventory.apply(app, *parse("plans:\n  - {name: month, days: 30}\n", "p"))
    users.add(app, ["alice"])
    subscriptions.grant(app, "alice", "month")
    peers.add(app, [Wanted("alice")])
    settle(app, [node.id])
    jobs.run(app, "sync")
    return node


@pytest.mark.parametrize("name", ["expire", "usage", "remind"])
def test_after_a_jump_jobs_that_go_by_the_clock_stop_until_they_are_told(app, sold, clock, name):
    clock.jump(days=31)
    with pytest.raises(Stopped, match="went forward by 31 days"):
        jobs.run(app, name)
    assert len(sold.fake.live_keys()) == 1
    assert jobs.history(app, name, 1)[0].code == 6
    assert jobs.run(app, name, jobs.Mode(force=True)).code == 0
    assert jobs.run(app, name).code == 0, "the clock was vouched for"


def test_a_sync_after_a_jump_heals_but_lets_time_cut_nobody(app, sold, clock):
    clock.jump(days=31)
    sold.fake.files["/etc/wireguard/wg0.conf"] = ("644", b"# by hand\n")
    report = jobs.run(app, "sync")
    assert report.code == 6
    assert "clock went forward" in report.detail["pending"]["fi"]
    assert len(sold.fake.live_keys()) == 1
    assert sold.fake.files["/etc/wireguard/wg0.conf"][0] == "600", "what was changed by hand is healed"


def test_a_clock_that_is_set_right_again_needs_no_word(app, sold, clock):
    clock.jump(days=31)
    with pytest.raises(Stopped):
        jobs.run(app, "expire")
    clock.jump(days=-31)
    clock.forward(minutes=5)
    assert jobs.run(app, "expire").code == 0


def test_a_verb_after_a_jump_cuts_nobody_by_time_either(app, sold, clock):
    clock.jump(days=31)
    users.add(app, ["bob"], unlimited=True)
    peers.add(app, [Wanted("bob")])
    assert settle(app, [sold.id])[0].code == 6
    assert len(sold.fake.live_keys()) == 2, "bob's is there, alice's was kept"


def test_cut_all_is_the_operators_word_for_the_clock(service, fleet, clock, app):
    service("jobs", "run", "sync")
    service("user", "add", "alice")
    service("peer", "add", "alice")
    peers_ = fleet["fi.example.org"]
    from vpnctl.store.rows import Peer

    with app.store.write() as tx:
        tx.update(Peer, expires_at=clock() + timedelta(days=30))
    clock.jump(days=31)
    assert service("node", "sync").code == 6
    assert len(peers_.live_keys()) == 1
    assert service("node", "sync", "--cut-all").code == 0
    assert peers_.live_keys() == set()
    assert service("jobs", "run", "expire").code == 0


def test_the_clock_back_by_a_day_neither_cuts_nor_restores(app, sold, clock):
    clock.forward(days=31)
    jobs.run(app, "expire")
    assert sold.fake.live_keys() == set()
    clock.jump(days=-5)
    with pytest.raises(Stopped, match="went back by 5 days"):
        jobs.run(app, "expire")


def test_machines_that_share_a_database_have_clocks_of_their_own(app, sold, monkeypatch):
    import socket

    monkeypatch.setattr(socket, "gethostname", lambda: "another")
    assert guard.jump(app) == ""
    settle(app, [sold.id], Wish(always=True))
