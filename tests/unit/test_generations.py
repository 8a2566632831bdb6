"""A device that is being moved or renewed has several keys: a word about it means all that it should."""

from __future__ import annotations

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
            probes = set(tx.execute(sa.select(models.endpoint.c.probe_public)).scalars())
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
