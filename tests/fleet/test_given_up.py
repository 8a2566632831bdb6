"""A server that was given up comes back, and one that somebody else serves on is served beside."""

from __future__ import annotations

import shlex

import pytest

from tests.conftest import _fp
from tests.fakenode import Live
from vpnctl.store import models
from vpnctl.store.rows import Peer

FOREIGN = "9TyNGWWqd4yyT7H8W5OtQCBVSCoOxeVh1nEBqUhKtTE="


@pytest.fixture
def fi(fleet):
    return fleet["fi.example.org"]


def test_a_server_that_was_declared_lost_and_came_back_is_taken_over_and_its_old_keys_are_cut(service, fi):
    service("user", "add", "alice")
    service("peer", "add", "alice")
    old = fi.live_keys()
    fi.down = True
    assert service("node", "retire", "fi", "--destroyed", "--revoke-peers", "--yes").code == 0
    fi.down = False
    said = service("node", "add", "back", "root@fi.example.org", "--host-key-fp", _fp(), "--provision")
    assert said.code == 0, said.err
    assert not old & fi.live_keys()
    assert service("node", "sync", "back").code == 0


def test_a_token_of_another_living_node_is_no_token_to_trust(service, fi, fleet):
    fleet.nodes["twin.example.org"] = fi
    service("node", "add", "twin", "root@twin.example.org", "--host-key-fp", _fp())
    service("endpoint", "add", "twin", "wireguard")
    said = service("node", "trust", "twin", "--token", fi.token, "--yes")
    assert said.code == 5
    assert "the same server" in said.err


def test_serving_beside_somebody_elses_interface_is_typed_as_hinted(service, fleet):
    other = fleet["de.example.org"]
    other.links["wg0"] = Live(FOREIGN, 51820, 1420, 1, True, {"10.66.0.1/16"}, {"10.66.0.0/16"})
    other.networks.append(("wg0", "10.66.0.1/16"))
    said = service("node", "add", "de", "root@de.example.org", "--host-key-fp", _fp(), "--provision")
    assert said.code == 7
    hint = next(line for line in said.err.splitlines() if line.startswith("hint: "))
    first, then = hint.removeprefix("hint: serve beside it: ").split(", then ")
    for command in (first, then):
        assert service(*shlex.split(command)[1:], "--yes").code == 0
    assert service("node", "check", "de").code == 0


def test_peers_of_an_endpoint_that_never_was_on_its_node_are_not_pending(service, fleet, app):
    other = fleet["de.example.org"]
    service("user", "add", "alice")
    service("peer", "add", "alice", "--node", "fi")
    other.links["wg0"] = Live(FOREIGN, 51820, 1420, 1, True, {"10.9.0.1/16"}, {"10.9.0.0/16"})
    service("node", "add", "de", "root@de.example.org", "--host-key-fp", _fp(), "--provision")
    assert service("user", "migrate", "alice", "--to", "de", "--untested").code == 7
    service("endpoint", "remove", "de", "wg0", "--revoke-peers", "--yes")
    assert "may still pass traffic" not in service("status").out
    with app.store.read() as tx:
        assert tx.all(Peer, models.peer.c.revoked_at.is_not(None), models.peer.c.absent_at.is_(None)) == []


def test_nobody_is_moved_to_a_node_through_which_packets_do_not_pass(service, fleet):
    service("user", "add", "alice")
    service("peer", "add", "alice", "--node", "fi")
    service("node", "add", "de", "root@de.example.org", "--host-key-fp", _fp(), "--provision")
    fleet["de.example.org"].path = "out"
    service("node", "sync", "de")
    said = service("user", "migrate", "alice", "--to", "de")
    assert said.code == 5
    assert "packets do not pass de" in said.err
    assert service("user", "migrate", "alice", "--to", "de", "--untested").code == 0
    fleet["de.example.org"].people()[0][2] = "1800000000"  # a handshake there proves less than packets
    service("jobs", "run", "usage", "sync")
    assert fleet["fi.example.org"].live_keys(), "the device that works stays until packets pass there"


def test_a_word_that_was_said_already_does_not_read_as_if_all_were_well(service, fi):
    service("user", "add", "alice")
    service("peer", "add", "alice")
    fi.down = True
    assert service("peer", "revoke", "alice").code == 3
    said = service("peer", "revoke", "alice")
    assert said.code == 5
    assert "may still pass traffic" in said.err
    assert "may still pass traffic on fi" in service("user", "block", "alice").err
