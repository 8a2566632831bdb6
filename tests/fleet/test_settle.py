"""Settle against in-memory nodes: convergence, proof, crash loops, fences, brake."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vpnctl.actions.fleet import aliens, node_lock
from vpnctl.actions.fleet.preview import drift, rehearse
from vpnctl.actions.fleet.settle import Wish, settle
from vpnctl.actions.people import migration, peers, users
from vpnctl.actions.people.issue import Wanted
from vpnctl.errors import VpnctlError
from vpnctl.rules.changes import SYSTEM
from vpnctl.rules.ledger import FASTEST
from vpnctl.store import find, models
from vpnctl.store.queue import pending_nodes
from vpnctl.store.rows import Alien, Node, Peer

ALL = Wish(scope=SYSTEM, always=True)
ALIEN = "9TyNGWWqd4yyT7H8W5OtQCBVSCoOxeVh1nEBqUhKtTE="


def peer_row(app, ref="alice"):
    with app.store.read() as tx:
        return find.peer(tx, ref)[1]


def row(app, peer_id):
    with app.store.read() as tx:
        return tx.one(Peer, models.peer.c.id == peer_id)


def give(app, name="alice", **wanted):
    users.add(app, [name])
    return peers.add(app, [Wanted(name, **wanted)])[0]


def test_a_peer_is_active_only_after_it_was_read_on_the_node(app, serve):
    node = serve()
    issued = give(app)
    assert issued.peer.present_at is None
    assert settle(app, [node.id])[0].code == 0
    assert row(app, issued.peer.id).present_at is not None
    assert issued.peer.identity in node.fake.live_keys()


def test_a_second_settle_writes_nothing(app, serve):
    node = serve()
    give(app)
    settle(app, [node.id])
    writes, token = node.fake.writes, node.fake.token
    again = settle(app, [node.id], ALL)[0]
    assert (again.code, again.changes) == (0, ())
    assert (node.fake.writes, node.fake.token) == (writes, token)


def test_a_change_takes_two_calls_and_no_change_takes_one(app, serve):
    node = serve()
    give(app)
    before = node.fake.calls
    settle(app, [node.id])
    assert node.fake.calls - before == 2
    settle(app, [node.id], Wish(always=True))
    assert node.fake.calls - before == 3


def test_a_revoked_peer_is_revoked_only_when_its_absence_was_read(app, serve):
    node = serve()
    issued = give(app)
    settle(app, [node.id])
    node.fake.down = True
    peers.revoke(app, "alice")
    outcome = settle(app, [node.id])[0]
    assert outcome.code == 3
    assert row(app, issued.peer.id).absent_at is None
    node.fake.down = False
    assert settle(app, [node.id])[0].code == 0
    assert row(app, issued.peer.id).absent_at is not None
    assert node.fake.live_keys() == set()


def test_the_queue_is_the_difference_between_wanted_and_read(app, serve, clock):
    node = serve()
    give(app)
    with app.store.read() as tx:
        assert pending_nodes(tx, clock()) == [node.id]
    settle(app, [node.id])
    with app.store.read() as tx:
        assert pending_nodes(tx, clock()) == []


VERBS = {
    "add": lambda app, name: peers.add(app, [Wanted(name, "second", node="fi")]),
    "suspend": lambda app, name: peers.suspend(app, name),
    "revoke": lambda app, name: peers.revoke(app, name),
    "regen": lambda app, name: peers.regen(app, name),
    "overlap": lambda app, name: peers.regen(app, name, overlap=True),
    "block": lambda app, name: users.block(app, name),
    "remove": lambda app, name: users.remove(app, name),
    "migrate": lambda app, name: migration.start(app, name, migration.Destination("de")),
}


def agreed(app, nodes):
    """Everything healed: the next settle finds nothing, and database, file and live state say the same."""
    ids = [node.id for node in nodes]
    assert [each.code for each in settle(app, ids, ALL)] == [0] * len(ids)
    assert [each.changes for each in settle(app, ids, ALL)] == [()] * len(ids)
    with app.store.read() as tx:
        assert pending_nodes(tx, app.clock()) == []
        for peer in tx.all(Peer):
            node = next(each for each in nodes if each.id == peers.place(tx, peer)[1].id)
            on_node = peer.identity in node.fake.live_keys()
            in_file = peer.identity in node.fake.files["/etc/wireguard/wg0.conf"][1].decode()
            assert on_node == in_file == (peer.present_at is not None) == (peer.absent_at is None)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("fault", ["die_before_call", "die_after_call", "die_at_step"])
def test_after_a_failure_at_any_point_the_next_settle_heals(app, serve, verb, fault):
    nodes = [serve("fi"), serve("de")]
    ids = [node.id for node in nodes]
    target = nodes[1].fake if verb == "migrate" else nodes[0].fake
    counter = "steps" if fault == "die_at_step" else "calls"
    struck = 0
    for point in range(1, 40):
        name = f"u{point}"
        give(app, name, node="fi")
        settle(app, ids)
        VERBS[verb](app, name)
        setattr(target, fault, getattr(target, counter) + point)
        broke = any(each.code == 3 for each in settle(app, ids))
        setattr(target, fault, 0)
        agreed(app, nodes)
        struck += broke
        if not broke:
            break
    assert struck >= 2, "the fault never struck"
    assert not broke, "the loop did not come to an end"


def test_a_failure_at_any_step_of_provisioning_is_healed_by_the_next_run(app, serve):
    for point in range(1, 60):
        name = f"n{point}"
        node = serve(name, provision=False)
        node.fake.die_at_step = point
        first = settle(app, [node.id], ALL)[0]
        node.fake.die_at_step = 0
        assert settle(app, [node.id], ALL)[0].code == 0
        assert settle(app, [node.id], ALL)[0].changes == ()
        if first.code == 0:
            return
    pytest.fail("provisioning never came to an end")


def test_a_compound_failure_heals_too(app, serve):
    node = serve()
    give(app)
    node.fake.die_at_step = node.fake.steps + 2
    settle(app, [node.id])
    node.fake.die_after_call = node.fake.calls + 2
    settle(app, [node.id])
    node.fake.die_at_step = node.fake.die_after_call = 0
    agreed(app, [node])


def test_a_foreign_token_stops_everything(app, serve):
    node = serve()
    give(app)
    node.fake.files["/var/lib/vpnctl/token"] = ("600", b"f" * 32 + b"\n")
    writes = node.fake.writes
    outcome = settle(app, [node.id], ALL)[0]
    assert outcome.code == 7
    assert node.fake.writes == writes


def test_an_older_token_means_a_rolled_back_node_which_is_healed_and_noted(app, serve):
    node = serve()
    snapshot = (
        dict(node.fake.files),
        {name: replace(link, peers=dict(link.peers)) for name, link in node.fake.links.items()},
    )
    issued = give(app)
    settle(app, [node.id])
    peers.revoke(app, "alice")
    settle(app, [node.id])
    node.fake.files, node.fake.links = snapshot
    node.fake.links["wg0"].peers[issued.peer.identity] = ["(none)", "10.66.0.2/32", "0", "0", "0"]
    assert settle(app, [node.id], ALL)[0].code == 0
    assert issued.peer.identity not in node.fake.live_keys()
    with app.store.read() as tx:
        verbs = tx.execute(models.event.select().where(models.event.c.verb == "node.rolled_back")).all()
    assert len(verbs) == 1


def test_a_process_that_slept_with_an_old_plan_is_refused_and_looks_again(app, serve):
    node = serve()
    issued = give(app)
    settle(app, [node.id])
    users.add(app, ["bob"])
    peers.add(app, [Wanted("bob")])

    def meanwhile():
        node.fake.before_apply = lambda: None
        peers.revoke(app, "alice")
        other = replace(app, settings=replace(app.settings, state_dir=app.settings.state_dir / "other"))
        assert settle(other, [node.id])[0].code == 0

    node.fake.before_apply = meanwhile
    assert settle(app, [node.id])[0].code == 0
    assert issued.peer.identity not in node.fake.live_keys()
    assert len(node.fake.live_keys()) == 1


def test_a_server_key_that_is_not_ours_is_never_overwritten(app, serve):
    node = serve()
    node.fake.links["wg0"].public = ALIEN
    assert settle(app, [node.id], ALL)[0].code == 7
    assert node.fake.links["wg0"].public == ALIEN


def test_a_config_file_of_somebody_else_is_never_overwritten(app, serve):
    node = serve(provision=False)
    theirs = b"[Interface]\nPrivateKey = yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=\nListenPort = 51820\n"
    node.fake.files["/etc/wireguard/wg0.conf"] = ("600", theirs)
    outcome = settle(app, [node.id], ALL)[0]
    assert outcome.code == 7
    assert node.fake.files["/etc/wireguard/wg0.conf"][1] == theirs


def test_an_alien_is_kept_with_its_key_and_shown_until_pruned(app, serve):
    node = serve()
    node.fake.links["wg0"].peers[ALIEN] = ["(none)", "10.66.9.9/32", "0", "0", "0"]
    issued = give(app)
    assert settle(app, [node.id])[0].code == 0
    assert node.fake.live_keys() == {ALIEN, issued.peer.identity}
    assert ALIEN in node.fake.files["/etc/wireguard/wg0.conf"][1].decode()
    aliens.prune(app, [node.id])
    assert settle(app, [node.id], ALL)[0].code == 0
    assert node.fake.live_keys() == {issued.peer.identity}


def test_a_peer_that_appears_between_look_and_apply_is_not_deleted(app, serve):
    node = serve()
    give(app)

    def by_hand():
        node.fake.before_apply = lambda: None
        node.fake.links["wg0"].peers[ALIEN] = ["(none)", "10.66.9.9/32", "0", "0", "0"]

    node.fake.before_apply = by_hand
    assert settle(app, [node.id])[0].code == 0
    assert ALIEN in node.fake.live_keys()
    with app.store.read() as tx:
        assert [alien.identity for alien in tx.all(Alien)] == [ALIEN]


def test_an_alien_never_takes_an_address_of_ours(app, serve):
    node = serve()
    issued = give(app)
    settle(app, [node.id])
    node.fake.links["wg0"].peers[ALIEN] = ["(none)", "10.66.0.2/32", "0", "0", "0"]
    node.fake.links["wg0"].peers[issued.peer.identity][1] = "(none)"
    assert settle(app, [node.id], ALL)[0].code == 0
    assert node.fake.links["wg0"].peers[issued.peer.identity][1].startswith("10.66.0.2/32")
    assert ALIEN in node.fake.all_keys()


def test_a_full_disk_stops_no_removal_and_loses_nothing(app, serve):
    node = serve()
    issued = give(app)
    settle(app, [node.id])
    before = node.fake.files["/etc/wireguard/wg0.conf"]
    node.fake.disk_full = True
    peers.revoke(app, "alice")
    outcome = settle(app, [node.id])[0]
    assert outcome.code == 3
    assert "No space left" in outcome.error
    assert issued.peer.identity not in node.fake.live_keys()
    assert node.fake.files["/etc/wireguard/wg0.conf"] == before
    assert row(app, issued.peer.id).absent_at is None, "a reboot would bring it back: it is not revoked yet"
    node.fake.disk_full = False
    agreed(app, [node])


@pytest.mark.parametrize(
    "lie",
    [
        lambda out: out.replace(b"|-\t", b"|-\tx"),
        lambda out: out[: len(out) // 2],
        lambda out: b"",
        lambda out: b"\xff\xfe" + out,
        lambda out: out.replace(b"token", b"t\x1b]0;owned\x07ken"),
        lambda out: out.replace(b"clock\t", b"clock\t1e400"),
        lambda out: out + out,
        lambda out: out.replace(b"link\twg0", b"link\twg9"),
    ],
)
def test_an_answer_that_makes_no_sense_changes_nothing_and_is_shown_clean(app, serve, lie):
    node = serve()
    issued = give(app)
    settle(app, [node.id])
    node.fake.answer = lie
    outcome = settle(app, [node.id], ALL)[0]
    assert outcome.code == 3
    assert "\x1b" not in outcome.error
    assert row(app, issued.peer.id).present_at is not None


def test_a_node_that_claims_success_without_doing_it_is_caught(app, serve):
    node = serve()
    issued = give(app)
    settle(app, [node.id])
    peers.revoke(app, "alice")
    original = node.fake.sync
    node.fake.links["wg0"].peers = type("Sticky", (dict,), {"pop": lambda *_: None, "__delitem__": lambda *_: None})(
        node.fake.links["wg0"].peers
    )
    outcome = settle(app, [node.id])[0]
    assert original is not None
    assert outcome.code == 3
    assert "still differs" in outcome.error
    assert row(app, issued.peer.id).absent_at is None


def test_counters_out_of_range_are_clamped(app, serve):
    node = serve()
    issued = give(app)
    settle(app, [node.id])
    node.fake.links["wg0"].peers[issued.peer.identity][2:] = ["0", str(2**80), "-5"]
    assert settle(app, [node.id], ALL)[0].code == 0
    assert 0 < row(app, issued.peer.id).rx <= 2 * FASTEST, "no more than a line can carry in the time"
    assert row(app, issued.peer.id).tx == 0


def test_the_brake_holds_back_many_removals_that_only_time_asks_for(app, serve, clock):
    node = serve()
    names = [f"u{number}" for number in range(30)]
    users.add(app, names)
    issued = peers.add(app, [Wanted(name) for name in names])
    settle(app, [node.id])
    with app.store.write() as tx:
        ends = models.peer.c.id.in_([each.peer.id for each in issued[:15]])
        tx.update(Peer, ends, expires_at=clock())
    peers.revoke(app, "u20")
    outcome = settle(app, [node.id])[0]
    assert outcome.code == 6
    assert len(node.fake.live_keys()) == 29, "what was asked for is still done, what time asks for is not"
    assert settle(app, [node.id], replace(ALL, cut_all=True))[0].code == 0
    assert len(node.fake.live_keys()) == 14


def test_a_few_expiries_pass_the_brake(app, serve, clock):
    node = serve()
    issued = give(app)
    settle(app, [node.id])
    with app.store.write() as tx:
        tx.update(Peer, models.peer.c.id == issued.peer.id, expires_at=clock())
    assert settle(app, [node.id])[0].code == 0
    assert node.fake.live_keys() == set()


def test_one_dead_node_delays_nobody(app, serve):
    nodes = [serve(name) for name in ("fi", "de", "nl")]
    for number, node in enumerate(nodes):
        give(app, f"u{number}", node=node.name)
    nodes[1].fake.down = True
    codes = {each.node: each.code for each in settle(app, [node.id for node in nodes])}
    assert codes == {"fi": 0, "de": 3, "nl": 0}


def test_the_reason_why_a_node_is_not_settled_is_kept_and_cleared(app, serve):
    node = serve()
    node.fake.down = True
    settle(app, [node.id], ALL)
    with app.store.read() as tx:
        assert "cannot reach" in tx.one(Node, models.node.c.id == node.id).last_error
    node.fake.down = False
    settle(app, [node.id], ALL)
    with app.store.read() as tx:
        assert tx.one(Node, models.node.c.id == node.id).last_error is None


def test_people_scope_does_not_start_a_downed_interface_but_says_what_to_type(app, serve):
    node = serve()
    node.fake.links.clear()
    give(app)
    outcome = settle(app, [node.id])[0]
    assert outcome.code == 3
    assert outcome.hint == "vpnctl node sync fi"
    assert settle(app, [node.id], ALL)[0].code == 0
    assert len(node.fake.live_keys()) == 1


def test_after_a_reboot_everything_is_as_before(app, serve):
    node = serve()
    give(app)
    settle(app, [node.id])
    live = node.fake.live_keys()
    node.fake.reboot()
    assert node.fake.live_keys() == live
    assert settle(app, [node.id], ALL)[0].changes == ()


def test_a_dry_run_shows_the_change_and_makes_none(app, serve):
    node = serve()
    users.add(app, ["alice"])
    calls, writes = node.fake.calls, node.fake.writes
    shown = rehearse(app, lambda trial: [peers.add(trial, [Wanted("alice")])[0].node.id])[0]
    assert [change.kind for change in shown.changes] == ["write", "missing peer"]
    assert (node.fake.calls - calls, node.fake.writes) == (1, writes)
    with pytest.raises(VpnctlError, match="no live peer"):
        peer_row(app)


def drifted(fake, app):
    key = next(iter(fake.live_keys()))
    return {
        "missing peer": lambda: fake.links["wg0"].peers.clear(),
        "alien peer": lambda: fake.links["wg0"].peers.update({ALIEN: ["(none)", "(none)", "0", "0", "0"]}),
        "parameter drift": lambda: fake.links["wg0"].peers[key].__setitem__(1, "10.0.0.0/8"),
        "write": lambda: fake.files.update({"/etc/wireguard/wg0.conf": ("600", b"")}),
        "load firewall": lambda: fake.tables.clear(),
        "start unit": lambda: fake.units.update({"wg-quick@wg0.service": ("disabled", "active")}),
        "stale peer": lambda: app.store.write,
    }


@pytest.mark.parametrize(
    "kind", ["missing peer", "alien peer", "parameter drift", "write", "load firewall", "start unit"]
)
def test_each_class_of_drift_is_named_and_healed(app, serve, kind):
    node = serve()
    give(app)
    settle(app, [node.id])
    drifted(node.fake, app)[kind]()
    shown = drift(app, [node.id], Wish(scope=SYSTEM))[0]
    assert kind in {change.kind for change in shown.changes}
    assert settle(app, [node.id], ALL)[0].code == 0
    assert settle(app, [node.id], ALL)[0].changes == ()


def test_a_revoked_peer_that_came_back_is_named_stale(app, serve):
    node = serve()
    issued = give(app)
    settle(app, [node.id])
    peers.revoke(app, "alice")
    settle(app, [node.id])
    node.fake.links["wg0"].peers[issued.peer.identity] = ["(none)", "10.66.0.2/32", "0", "0", "0"]
    shown = drift(app, [node.id], Wish(scope=SYSTEM))[0]
    assert [change.kind for change in shown.changes] == ["stale peer"]


def test_behind_a_hung_node_a_command_waits_a_bounded_time_and_stays_pending(app, serve, monkeypatch):
    node = serve()
    users.add(app, ["alice"])
    monkeypatch.setattr(node_lock, "SECONDS", 0.2)
    with app.store.read() as tx:
        row = tx.one(Node)
    with node_lock.hold(app, row):
        peers.add(app, [Wanted("alice")])
        found = settle(app, [node.id])[0]
    assert (found.code, "at work there" in found.error) == (3, True)
    assert settle(app, [node.id])[0].code == 0
