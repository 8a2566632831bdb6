"""Endpoints that are removed, and pools that cannot be."""

from __future__ import annotations

import pytest

from vpnctl.actions.fleet import endpoints
from vpnctl.actions.fleet.settle import Wish, settle
from vpnctl.rules.changes import SYSTEM
from vpnctl.store.rows import Endpoint

ALL = Wish(scope=SYSTEM, always=True)


@pytest.fixture
def fi(fleet):
    return fleet["fi.example.org"]


def test_an_endpoint_removed_while_the_clock_was_back_is_removed_all_the_same(service, fi, clock):
    service("user", "add", "alice")
    service("peer", "add", "alice")
    clock.jump(minutes=-10)
    assert service("endpoint", "remove", "fi", "wg0", "--revoke-peers", "--yes").code == 0
    assert "wg0" not in fi.links
    assert "/etc/wireguard/wg0.conf" not in fi.files


def test_an_endpoint_removed_while_another_settle_was_at_work_stays_pending_until_it_is_gone(app, serve):
    node = serve()
    node.fake.before_apply = lambda: endpoints.remove(app, "fi", "wg0", revoke=True) and None
    with app.store.write() as tx:
        tx.update(Endpoint, port=51821, changed_at=app.clock(), proven_at=None)
    settle(app, [node.id], ALL)
    node.fake.before_apply = lambda: None
    with app.store.read() as tx:
        assert tx.one(Endpoint).proven_at is None, "what was proven is the endpoint as it was before"
    assert settle(app, [node.id], ALL)[0].code == 0
    assert "wg0" not in node.fake.links
    with app.store.read() as tx:
        assert tx.one(Endpoint).proven_at is not None


@pytest.mark.parametrize("verb", [("user", "block", "alice"), ("user", "remove", "alice", "--yes")])
def test_a_cut_that_is_still_pending_from_before_is_not_called_done(service, fi, verb):
    service("user", "add", "alice")
    service("peer", "add", "alice")
    fi.down = True
    assert service("peer", "revoke", "alice").code == 3
    run = service(*verb)
    assert run.code == 3
    assert "checked" not in run.err


@pytest.mark.parametrize("pool", ["0.0.0.0/0", "127.0.0.0/8", "224.0.0.0/4", "8.8.0.0/16", "10.66.0.0/16"])
def test_a_pool_that_cannot_be_one_is_refused(service, pool):
    assert service("endpoint", "add", "fi", "wireguard", "--pool", pool).code in (2, 5)


def test_no_pool_left_is_said(service):
    service("endpoint", "remove", "fi", "wg0", "--yes")
    assert service("endpoint", "add", "fi", "wireguard", "--pool", "10.0.0.0/8", "--interface", "wga").code == 0
    run = service("endpoint", "add", "fi", "wireguard")
    assert (run.code, "no pool is left" in run.err) == (5, True)


def test_an_endpoint_that_never_came_up_is_tried_again_and_not_added_twice(service, fleet):
    fleet["fi.example.org"].die_at_step = fleet["fi.example.org"].steps + 1
    assert service("endpoint", "add", "fi", "amneziawg").code == 3
    again = service("endpoint", "add", "fi", "amneziawg")
    assert (again.code, "vpnctl node sync fi" in again.err) == (5, True)
    assert len(service("endpoint", "list", "fi", "--json").json) == 2
    assert service("endpoint", "add", "fi", "amneziawg", "--interface", "awg7").code == 0
