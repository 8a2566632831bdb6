"""What a node says is never typed, believed or passed on."""

from __future__ import annotations

import pytest

from tests.conftest import _fp

ALIEN = "9TyNGWWqd4yyT7H8W5OtQCBVSCoOxeVh1nEBqUhKtTE="


@pytest.fixture
def fi(fleet):
    return fleet["fi.example.org"]


@pytest.mark.parametrize("ips", ["999.1.1.1/32", "10.0.0.1/99", ":::::/64", "..../3", "x"])
def test_addresses_that_are_none_stop_that_node_only_and_are_not_stored(service, fleet, fi, ips):
    service("node", "add", "de", "root@de.example.org", "--host-key-fp", _fp(), "--provision")
    fi.links["wg0"].peers[ALIEN] = ["(none)", ips, "0", "0", "0"]
    run = service("node", "sync")
    assert run.code == 3
    assert "makes no sense" in run.err
    del fi.links["wg0"].peers[ALIEN]
    assert service("node", "sync").code == 0
    assert service("jobs", "run", "sync").code == 0


def test_a_bug_at_one_node_does_not_keep_the_others_from_being_settled(service, fleet, monkeypatch):
    from vpnctl.actions.fleet import settle as module

    service("node", "add", "de", "root@de.example.org", "--host-key-fp", _fp(), "--provision")
    real_look = module.look

    def broken(app, view, *args):
        if view.node.name == "fi":
            raise ZeroDivisionError("with a secret in it")
        return real_look(app, view, *args)

    monkeypatch.setattr(module, "look", broken)
    run = service("node", "sync")
    assert run.code == 1
    assert "fi: a bug in vpnctl: ZeroDivisionError at test_distrust.py" in run.err
    assert "secret" not in run.err


def test_a_node_puts_no_text_of_its_own_into_a_command_that_people_type(service, fi):
    fi.files["/var/lib/vpnctl/token"] = ("600", b"evil; rm -rf /\n")
    run = service("node", "sync")
    assert "rm -rf" not in run.err.split("hint:")[-1]
    assert run.code == 7
    assert "was not written by any vpnctl" in run.err


def test_a_token_is_only_accepted_when_the_node_shows_it(service, fi):
    assert service("node", "trust", "fi", "--token", "deadbeef", "--yes").code == 5
    fi.files["/var/lib/vpnctl/token"] = ("600", b"deadbeef\n")
    assert service("node", "trust", "fi", "--token", "deadbeef", "--yes").code == 0
    assert service("node", "sync").code == 0
