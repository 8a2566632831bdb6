"""A device that is being moved or renewed has several keys: a word about it means all that it should."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from vpnctl.store import models
from vpnctl.store.rows import Peer


@pytest.fixture
def pair(service, cli, fleet):
    """A second node, and alice with a phone on the first."""
    from tests.conftest import _fp

    assert service("node", "add", "de", "root@de.example.org", "--host-key-fp", _fp(), "--provision").code == 0
    service("user", "add", "alice")
    assert service("peer", "add", "alice", "--device", "phone", "--node", "fi").code == 0
    return service


def live(service):
    return {(row["node"], row["state"]) for row in service("peer", "list", "--user", "alice", "--json").json}


@pytest.fixture
def keys_on(app, fleet):
    """The keys of devices on a host; the probe that every endpoint has is none."""

    def keys(host):
        with app.store.read() as tx:
            probes = set(tx.execute(sa.select(models.endpoint.c.probe_identity)).scalars())
        return set(fleet[host].links["wg0"].peers) - probes

    return keys


@pytest.mark.parametrize("verb", ["revoke", "suspend"])
def test_a_word_about_a_device_on_a_node_means_all_its_keys_there(pair, keys_on, verb):
    pair("peer", "regen", "alice/phone", "--overlap")
    assert len(keys_on("fi.example.org")) == 2
    assert pair("peer", verb, "alice/phone@fi").code == 0
    assert not keys_on("fi.example.org")


def test_new_keys_cut_all_old_ones_wherever_a_move_has_left_them(pair, keys_on):
    pair("user", "migrate", "alice", "--to", "de")
    assert keys_on("fi.example.org")
    assert pair("peer", "regen", "alice/phone@de").code == 0
    assert not keys_on("fi.example.org")
    assert len(keys_on("de.example.org")) == 1


def test_taking_a_move_back_leaves_the_old_device_as_it_was(pair, app):
    pair("user", "migrate", "alice", "--to", "de")
    said = pair("peer", "revoke", "alice/phone@de")
    assert (said.code, live(pair)) == (0, {("fi", "active")})
    assert "alice/phone still works on fi" in said.err
    with app.store.read() as tx:
        old = tx.one(Peer, models.peer.c.revoked_at.is_(None))
    assert (old.retiring_at, old.expires_at) == (None, None)
    assert pair("user", "migrate", "alice", "--to", "de").code == 0


def test_after_moves_there_and_back_the_one_that_is_left_is_a_device_like_any_other(pair, app):
    pair("user", "migrate", "alice", "--to", "de")
    with app.store.write() as tx:  # the phone uses it
        tx.update(Peer, models.peer.c.replaces_id.is_not(None), handshake_at=app.clock())
    pair("user", "migrate", "alice", "--to", "fi")
    pair("peer", "revoke", "alice/phone@fi")
    assert live(pair) == {("de", "active")}


def test_a_node_can_be_retired_whose_people_were_moved_though_one_is_blocked(pair, tmp_path):
    pair("user", "add", "bob")
    pair("peer", "add", "bob", "--node", "fi")
    pair("user", "block", "bob")
    assert (
        pair("--yes", "user", "migrate", "--all", "--from", "fi", "--to", "de", "--out", str(tmp_path / "new")).code
        == 0
    )
    assert pair("--yes", "node", "retire", "fi", "--destroyed").code == 0
    pair("user", "unblock", "bob")
    assert {row["state"] for row in pair("peer", "list", "--user", "bob", "--json").json} == {"active"}


def test_a_node_that_still_has_people_names_them(pair):
    said = pair("--yes", "node", "retire", "fi", "--destroyed")
    assert (said.code, "alice/phone" in said.err) == (5, True)


def test_new_keys_that_were_never_handed_out_are_told_by_status(pair, app):
    pair("peer", "regen", "alice/phone")
    with app.store.write() as tx:
        tx.update(Peer, models.peer.c.revoked_at.is_(None), delivered_at=None)
    said = pair("status").out
    assert "the old key is cut" in said
    assert "vpnctl peer config alice/phone" in said


def test_an_interrupted_handing_out_says_how_to_get_the_config(pair, monkeypatch):
    def interrupt(*_args, **_more):
        raise KeyboardInterrupt

    monkeypatch.setattr("vpnctl.actions.fleet.settle.settle", interrupt)
    said = pair("peer", "regen", "alice/phone")
    assert (said.code, "vpnctl peer config alice/phone" in said.err) == (130, True)


def test_only_those_who_were_moved_are_counted(pair):
    pair("user", "add", "bob", "carl")
    pair("peer", "add", "bob", "--node", "fi")
    said = pair("user", "migrate", "alice", "bob", "carl", "--to", "de")
    assert "2 people may use de" in said.err


def test_a_dry_run_asks_nothing(pair):
    said = pair("user", "migrate", "--all", "--from", "fi", "--to", "de", "--dry-run")
    assert (said.code, "Move" in said.err) == (0, False)


def test_one_sync_also_cuts_what_a_first_handshake_elsewhere_has_ended(pair, fleet, keys_on, clock):
    pair("user", "migrate", "alice", "--to", "de")
    fleet["de.example.org"].people()[0][2] = str(int(clock().timestamp()))
    assert pair("node", "sync").code == 0
    assert not keys_on("fi.example.org")
    assert {row["state"] for row in pair("node", "list", "--json").json} == {"settled"}


def only(app, **where):
    with app.store.read() as tx:
        conditions = [getattr(models.peer.c, name) == value for name, value in where.items()]
        return tx.all(Peer, models.peer.c.revoked_at.is_(None), *conditions)


def test_new_keys_on_the_node_that_is_being_left_last_as_long_as_the_device(pair, app, keys_on):
    pair("user", "migrate", "alice", "--to", "de")
    assert pair("peer", "regen", "alice/phone@fi").code == 0
    (peer,) = only(app)
    assert (peer.expires_at, peer.retiring_at) == (None, None)
    assert not keys_on("de.example.org")


def test_a_successor_that_is_suspended_alone_does_not_end_the_key_that_works(pair, app, fleet):
    fleet["de.example.org"].down = True
    pair("user", "migrate", "alice", "--to", "de")
    pair("peer", "suspend", "alice/phone@de")
    pair("peer", "config", "alice/phone@de")
    assert {peer.expires_at for peer in only(app)} == {None}


def test_a_device_that_is_suspended_is_moved_like_any_other(pair, tmp_path):
    pair("peer", "suspend", "alice/phone")
    pair("--yes", "user", "migrate", "alice", "--to", "de", "--out", str(tmp_path / "new"))
    assert pair("--yes", "node", "retire", "fi", "--destroyed").code == 0


def test_a_config_printed_while_the_node_was_down_is_no_alarm(pair, fleet):
    fleet["fi.example.org"].down = True
    assert pair("peer", "regen", "alice/phone").code == 3
    fleet["fi.example.org"].down = False
    pair("node", "sync")
    assert "not handed out" not in pair("status").out


def test_an_endpoint_removed_with_its_peers_leaves_those_that_came_from_elsewhere_as_they_were(pair, app):
    pair("user", "migrate", "alice", "--to", "de")
    assert pair("--yes", "endpoint", "remove", "de", "wg0", "--revoke-peers").code == 0
    assert live(pair) == {("fi", "active")}
    assert only(app)[0].retiring_at is None


def test_a_key_whose_end_has_come_is_not_brought_back(pair, app, clock):
    pair("user", "migrate", "alice", "--to", "de")
    clock.forward(days=4)
    pair("peer", "revoke", "alice/phone@de")
    assert only(app)[0].expires_at is not None


def test_a_sync_that_lifts_the_brake_lifts_it_to_the_end(pair, fleet, clock, keys_on):
    pair("user", "migrate", "alice", "--to", "de")
    pair("jobs", "run", "sync")
    fleet["de.example.org"].people()[0][2] = str(int(clock().timestamp()))
    clock.jump(days=30)
    assert pair("node", "sync", "--cut-all").code == 0
    assert not keys_on("fi.example.org")


def test_who_has_nothing_to_move_is_not_said_to_be_there(pair):
    pair("user", "add", "bob", "carl")
    said = pair("user", "migrate", "bob", "carl", "--to", "de")
    assert "nothing to move to de" in said.err
    assert "already" not in said.err


def test_an_unlimited_persons_cancelled_subscription_leaves_the_access_and_says_so(pair):
    pair("inventory", "apply", "-", "--yes", stdin="plans: [{name: month, days: 30}]")
    pair("subscription", "grant", "alice", "--plan", "month")
    pair("user", "set", "alice", "--unlimited")
    said = pair("--yes", "subscription", "cancel", "alice")
    assert "access stays: unlimited" in said.err


def test_a_resumed_device_is_not_said_to_work_elsewhere_as_if_that_were_news(pair):
    pair("peer", "regen", "alice/phone", "--overlap")
    pair("peer", "suspend", "alice/phone")
    assert "still works" not in pair("peer", "resume", "alice/phone").err


def test_retiring_a_node_names_those_who_moved_away_and_have_not_connected_there(pair, cli, monkeypatch):
    pair("user", "migrate", "alice", "--to", "de")
    said = pair("node", "retire", "fi")
    assert said.code == 6
    assert "have not connected at their new node yet and are cut: alice/phone" in said.err


def test_a_node_that_only_has_to_hear_of_a_decision_is_not_said_to_wait_for_changes(pair, app):
    pair("user", "migrate", "alice", "--to", "de")
    with app.store.write() as tx:
        tx.execute(sa.update(models.node).values(fence_at=app.clock()))
    assert {row["state"] for row in pair("node", "list", "--json").json} == {"settled"}
    assert "changes wait" not in pair("status").out


def test_what_was_sold_is_told_also_while_a_node_does_not_answer(pair, fleet):
    pair("--yes", "inventory", "apply", str(Path(__file__).parents[2] / "inventory/example-plans.yaml"))
    fleet["fi.example.org"].down = True
    said = pair("subscription", "grant", "alice", "--plan", "month")
    assert said.code == 3
    assert "alice: month from now until" in said.err


def test_a_hint_to_add_a_device_again_names_it(pair):
    pair("peer", "revoke", "alice/phone")
    said = pair("peer", "resume", "alice/phone")
    assert "vpnctl peer add alice/phone" in said.err


def test_run_again_a_move_hands_out_no_file_whose_key_was_not_kept(pair, app, monkeypatch):
    monkeypatch.setenv("VPNCTL_CLIENT_SECRETS", "discard")
    pair("user", "migrate", "alice", "--to", "de")
    with app.store.write() as tx:
        tx.update(Peer, models.peer.c.replaces_id.is_not(None), delivered_at=None)
    again = pair("user", "migrate", "alice", "--to", "de")
    assert (again.code, again.out) == (0, "")
    assert "vpnctl peer regen alice/phone" in again.err
    with app.store.read() as tx:
        assert tx.one(Peer, models.peer.c.replaces_id.is_not(None)).delivered_at is None, "so no grace runs out"
