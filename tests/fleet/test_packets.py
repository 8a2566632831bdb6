"""What the packet test found is remembered, told, and looked at when a device gets its node."""

from __future__ import annotations

import pytest

from vpnctl.actions.fleet.settle import Wish, settle
from vpnctl.actions.people import peers, users
from vpnctl.actions.people.issue import Wanted
from vpnctl.actions.service import selfcheck
from vpnctl.rules.changes import SYSTEM
from vpnctl.store.rows import Node

ALL = Wish(scope=SYSTEM, always=True)


PROVE = Wish(scope=SYSTEM, always=True, prove=True)


def node_row(app):
    with app.store.read() as tx:
        return tx.one(Node)


@pytest.mark.parametrize("code", ["out", "back", "handshake", "lost", "setup"])
def test_what_the_packet_test_found_is_remembered_and_told_until_it_is_better(app, serve, code):
    node = serve()
    node.fake.path = code
    found = settle(app, [node.id], PROVE)[0]
    assert found.code == 3
    assert node_row(app).path_error
    assert node_row(app).path_at is not None
    settle(app, [node.id], ALL)
    assert node_row(app).path_error, "a settle that tried no packet proves nothing"
    node.fake.path = "ok"
    assert settle(app, [node.id], PROVE)[0].code == 0
    assert node_row(app).path_error is None


def test_a_new_device_goes_to_a_node_through_which_packets_pass(app, serve):
    broken, good = serve("aa"), serve("bb")
    broken.fake.path = "out"
    settle(app, [broken.id], PROVE)
    users.add(app, ["alice", "bob"])
    assert {each.node.id for each in peers.add(app, [Wanted("alice"), Wanted("bob")])} == {good.id}


def test_what_is_not_ours_to_change_is_reported_and_no_drift_for_ever(app, serve):
    node = serve()
    node.fake.ways = {4: 1400}
    found = settle(app, [node.id], ALL)[0]
    assert (found.code, found.changes) == (0, ())
    assert [(note.kind, note.advice) for note in found.notes] == [
        ("MTU too large", "vpnctl endpoint set fi wg0 --mtu 1320")
    ]


def test_an_interface_without_address_is_mended_by_a_word_about_people(app, serve):
    node = serve()
    users.add(app, ["alice"])
    peers.add(app, [Wanted("alice")])
    node.fake.links["wg0"].addresses.clear()
    node.fake.links["wg0"].routes.clear()
    assert settle(app, [node.id])[0].code == 0
    assert node.fake.links["wg0"].addresses


def found(app):
    return {each.subject: each.what for each in selfcheck.findings(app)}
