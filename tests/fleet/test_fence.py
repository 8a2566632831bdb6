"""Decisions move the fence of nodes, so that an old copy of the database cannot undo them."""

from __future__ import annotations

from dataclasses import replace

from vpnctl.actions.fleet.settle import Wish, settle
from vpnctl.actions.people import peers, users
from vpnctl.actions.people.issue import Wanted
from vpnctl.actions.sales import subscriptions
from vpnctl.actions.sales.paid import Paid
from vpnctl.actions.service import inventory
from vpnctl.actions.service.inventory_form import parse
from vpnctl.rules.changes import SYSTEM

ALL = Wish(scope=SYSTEM, always=True)


PLANS = """
plans:
  - {name: small, days: 30, devices: 2, traffic: 1000, prices: {EUR: 499, XTR: 250}}
  - {name: large, days: 30, devices: 5, traffic: 9000, prices: {EUR: 999}}
"""


def copied(app):
    """An old copy of the database, as somebody's backup would be."""
    path = app.store.path.with_name("old.db")
    app.store.copy(path)
    from vpnctl.store.engine import Store

    return replace(app, store=Store(f"sqlite:///{path}"))


def test_an_old_copy_cannot_bring_back_who_was_suspended_then_revoked(app, serve):
    node = serve()
    users.add(app, ["alice"])
    peers.add(app, [Wanted("alice")])
    peers.suspend(app, "alice")
    assert settle(app, [node.id])[0].code == 0
    old = copied(app)
    peers.revoke(app, "alice")
    assert settle(app, [node.id])[0].code == 0
    peers.resume(old, "alice")
    assert settle(old, [node.id])[0].code == 7
    assert node.fake.live_keys() == set()


def test_an_old_copy_cannot_cut_who_has_paid_since(app, serve, clock):
    node = serve()
    inventory.apply(app, *parse(PLANS, "plans"))
    users.add(app, ["alice"])
    subscriptions.grant(app, "alice", "small")
    peers.add(app, [Wanted("alice")])
    settle(app, [node.id])
    old = copied(app)
    subscriptions.extend(app, "alice", paid=Paid("p1", "EUR"), days=30)
    settle(app, [node.id])
    clock.forward(days=31)
    assert settle(old, [node.id], ALL)[0].code == 7
    assert len(node.fake.live_keys()) == 1


def test_a_sync_without_a_decision_still_writes_nothing(app, serve):
    node = serve()
    users.add(app, ["alice"])
    peers.add(app, [Wanted("alice")])
    peers.suspend(app, "alice")
    settle(app, [node.id])
    token, writes = node.fake.token, node.fake.writes
    settle(app, [node.id], ALL)
    assert (node.fake.token, node.fake.writes) == (token, writes)


def test_a_node_that_went_back_in_time_gets_a_fresh_token_though_nothing_else_is_to_be_done(app, serve):
    node = serve()
    users.add(app, ["alice"])
    peers.add(app, [Wanted("alice")])
    peers.suspend(app, "alice")
    settle(app, [node.id])
    before = node.fake.files["/var/lib/vpnctl/token"]
    old = copied(app)
    peers.revoke(app, "alice")
    settle(app, [node.id])
    node.fake.files["/var/lib/vpnctl/token"] = before
    assert settle(app, [node.id], ALL)[0].code == 0
    peers.resume(old, "alice")
    assert settle(old, [node.id])[0].code == 7
    assert node.fake.live_keys() == set()
