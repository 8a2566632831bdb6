"""Peers that are nobody's: recorded once, bounded, kept with their keys, forgotten when they are gone."""

from __future__ import annotations

from dataclasses import replace

import sqlalchemy as sa

from vpnctl.actions.fleet import aliens
from vpnctl.actions.fleet.settle import Wish, settle
from vpnctl.actions.people import peers, users
from vpnctl.actions.people.issue import Wanted
from vpnctl.actions.service import selfcheck
from vpnctl.rules.changes import SYSTEM
from vpnctl.store import models
from vpnctl.store.rows import Alien, Node

ALL = Wish(scope=SYSTEM, always=True)


ALIEN = "9TyNGWWqd4yyT7H8W5OtQCBVSCoOxeVh1nEBqUhKtTE="


def key_of(number):
    import base64

    return base64.b64encode(number.to_bytes(32, "big")).decode()


def copied(app):
    """An old copy of the database, as somebody's backup would be."""
    path = app.store.path.with_name("old.db")
    app.store.copy(path)
    from vpnctl.store.engine import Store

    return replace(app, store=Store(f"sqlite:///{path}"))


def test_a_node_that_makes_peers_up_is_refused_and_fills_nothing(app, serve):
    node = serve()
    for number in range(1, aliens.MOST + 50):
        node.fake.links["wg0"].peers[key_of(number)] = ["(none)", "10.70.0.1/32", "0", "0", "0"]
    found = settle(app, [node.id], ALL)[0]
    assert found.code == 3
    assert "not ours" in found.error
    with app.store.read() as tx:
        assert tx.all(Alien) == []
        assert (tx.execute(sa.select(sa.func.count()).select_from(models.event)).scalar() or 0) < 20


def test_many_aliens_are_one_event_a_look(app, serve):
    node = serve()
    for number in range(1, 200):
        node.fake.links["wg0"].peers[key_of(number)] = ["(none)", f"10.70.0.{number}/32", "0", "0", "0"]
    assert settle(app, [node.id], ALL)[0].code == 0
    with app.store.read() as tx:
        found = tx.execute(sa.select(models.event.c.after).where(models.event.c.verb == "alien.found")).scalars().all()
    assert [each["count"] for each in found] == [199]


def test_an_alien_that_was_removed_from_live_and_file_is_forgotten(app, serve):
    node = serve()
    node.fake.links["wg0"].peers[ALIEN] = ["(none)", "10.66.0.2/32", "0", "0", "0"]
    settle(app, [node.id], ALL)
    path = "/etc/wireguard/wg0.conf"
    mode, data = node.fake.files[path]
    node.fake.files[path] = (mode, data.split(b"\n# alien")[0])
    del node.fake.links["wg0"].peers[ALIEN]
    assert settle(app, [node.id], ALL)[0].code == 0
    users.add(app, ["alice"])
    assert peers.add(app, [Wanted("alice")])[0].peer.ipv4 == "10.66.0.2", "its address is free again"
    assert settle(app, [node.id])[0].code == 0
    assert ALIEN not in node.fake.all_keys()


def found(app):
    return {each.subject: each.what for each in selfcheck.findings(app)}


def test_a_peer_that_this_database_never_knew_keeps_its_preshared_key(app, serve):
    """A restored backup: carol was added by what is lost; she stands in our file on the node."""
    node = serve()
    old = copied(app)
    users.add(app, ["carol"])
    carol = peers.add(app, [Wanted("carol")])[0]
    settle(app, [node.id])
    from vpnctl.actions.fleet.trust import adopt_token

    with old.store.read() as tx:
        row = tx.one(Node)
    adopt_token(old, row, node.fake.token)
    assert settle(old, [node.id], ALL)[0].code == 0
    assert node.fake.links["wg0"].peers[carol.peer.identity][0] == carol.shared.reveal()
    assert carol.shared.reveal() in node.fake.files["/etc/wireguard/wg0.conf"][1].decode()


def test_an_address_that_a_stranger_took_is_named_and_taken_back(service, fleet):
    service("user", "add", "alice")
    service("peer", "add", "alice/phone", "--node", "fi")
    peers = fleet["fi.example.org"].links["wg0"].peers
    (key,) = fleet["fi.example.org"].live_keys("wg0")
    row = peers[key]
    taken = row[1].split(",")[0]
    peers[ALIEN] = ["(none)", taken, "0", "0", "0"]
    row[1] = ",".join(row[1].split(",")[1:]) or "(none)"
    told = service("node", "check", "fi")
    assert told.code == 4
    assert "duplicate allowed IPs" in told.out
    assert f"{ALIEN} has its address" in told.out
    assert service("node", "sync", "fi").code == 0
    assert taken in fleet["fi.example.org"].links["wg0"].peers[key][1]
    assert service("node", "check", "fi").code == 0
