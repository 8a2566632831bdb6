"""A lost node on another server: from the database alone, the old server stopped first, everybody's files valid."""

from __future__ import annotations

import stat

import pytest

from tests.conftest import _fp
from vpnctl.remote import names

WG0 = "/etc/wireguard/wg0.conf"
NEW = ("--host", "root@new.example.org", "--host-key-fp")


@pytest.fixture
def resolver(monkeypatch):
    """What names resolve to; a test may change it. A host that is not in it stands for itself."""
    known = {}
    monkeypatch.setattr(names, "addresses", lambda name: known.get(name, set()))
    return known


@pytest.fixture
def helsinki(service, fleet, resolver):
    """A service whose people dial vpn.example.org, which leads to fi; alice and bob live there."""
    service("node", "set", "fi", "--public-host", "vpn.example.org")
    resolver |= {"vpn.example.org": {"fi.example.org"}}
    for user in ("alice", "bob"):
        service("user", "add", user)
        assert service("peer", "add", f"{user}/phone").code == 0
    return service


def rebuild(run, *more):
    return run("--yes", "node", "rebuild", "fi", *NEW, _fp(), "--wait", "0", *more)


def test_the_new_server_has_the_same_key_port_and_people_and_files_stay_valid(helsinki, fleet, resolver):
    before, file = fleet["fi.example.org"].files[WG0], helsinki("peer", "config", "alice/phone").out
    resolver["vpn.example.org"] = {"new.example.org"}
    done = rebuild(helsinki)
    assert done.code == 0, done.err
    assert fleet["new.example.org"].files[WG0] == before
    assert set(fleet["new.example.org"].links["wg0"].peers) >= {
        row["public_key"] for row in helsinki("peer", "list", "--json").json
    }
    assert helsinki("peer", "config", "alice/phone").out == file
    assert helsinki("peer", "list", "--stale", "--json").json == []
    assert '"changes": []' in helsinki("node", "sync", "fi", "--dry-run", "--json").out


def test_an_old_server_that_still_answers_is_seen_to_stop_first(helsinki, fleet, resolver):
    old = fleet["fi.example.org"]
    resolver["vpn.example.org"] = {"new.example.org"}
    done = rebuild(helsinki)
    assert "fi.example.org, the old server, was seen to stop serving" in done.err
    assert (old.links, WG0 in old.files, old.units.get("wg-quick@wg0")) == ({}, False, None)


def test_one_that_answers_and_goes_on_serving_keeps_the_node(helsinki, fleet):
    old = fleet["fi.example.org"]
    old.die_at_step = old.steps + 1
    done = rebuild(helsinki)
    assert done.code != 0
    assert helsinki("node", "show", "fi", "--json").json["address"] == "root@fi.example.org:22"
    old.die_at_step = 0
    assert "fi serves on new.example.org" in rebuild(helsinki).err


@pytest.mark.parametrize("lost", ["silent", "another", "told"])
def test_a_server_that_is_gone_is_named_and_must_not_come_back(helsinki, fleet, lost):
    old = fleet["fi.example.org"]
    old.down, old.host_key = lost == "silent", "ssh-ed25519 other" if lost == "another" else ""
    done = rebuild(helsinki, *(["--destroyed"] if lost == "told" else []))
    assert "fi serves on new.example.org" in done.err
    assert "note: " in done.err
    assert any(word in done.err for word in ("delete", "must not come back"))


def test_a_server_that_is_somebody_elses_is_refused_before_the_old_one_is_touched(helsinki, fleet):
    fleet["new.example.org"].files["/var/lib/vpnctl/token"] = ("600", b"ab" * 16 + b"\n")
    old = dict(fleet["fi.example.org"].files)
    done = rebuild(helsinki)
    assert done.code == 7
    assert fleet["fi.example.org"].files == old
    assert helsinki("node", "show", "fi", "--json").json["address"] == "root@fi.example.org:22"


def test_killed_after_the_old_server_was_left_it_goes_on_when_it_is_run_again(helsinki, fleet, resolver):
    fleet["fi.example.org"].down = True
    new = fleet["new.example.org"]
    new.die_at_step = 2
    assert rebuild(helsinki).code == 3
    assert any("fi" in line for line in helsinki("status").out.splitlines())
    new.die_at_step = 0
    assert "fi serves on new.example.org" in rebuild(helsinki).err
    assert "wg0" in new.links


def test_where_people_dial_an_address_each_new_file_is_listed_and_written(service, fleet, resolver, clock, tmp_path):
    service("node", "set", "fi", "--public-host", "198.51.100.7")
    service("user", "add", "alice")
    service("peer", "add", "alice/phone")
    fleet["fi.example.org"].down = True
    clock.forward(minutes=1)
    done = rebuild(service, "--public-host", "198.51.100.8")
    assert "alice/phone" in done.err
    clock.forward(minutes=1)
    assert "198.51.100.8" in rebuild(service, "--out", str(tmp_path / "new")).err
    file = tmp_path / "new" / "alice-phone.conf"
    assert ("198.51.100.8" in file.read_text(), stat.S_IMODE(file.stat().st_mode)) == (True, 0o600)
    assert service("peer", "list", "--stale", "--json").json == []


def test_an_address_of_the_old_server_becomes_that_of_the_new_one(cli, fleet, resolver):
    cli("init", "--yes")
    cli("node", "add", "fi", "root@198.51.100.7", "--host-key-fp", _fp(), "--provision")
    cli("--yes", "node", "rebuild", "fi", "--host", "root@198.51.100.8", "--host-key-fp", _fp(), "--wait", "0")
    assert cli("node", "show", "fi", "--json").json["public_host"] == "198.51.100.8"


def test_the_operators_command_changes_the_record(helsinki, fleet, resolver, tmp_path, monkeypatch):
    said = tmp_path / "said"
    hook = tmp_path / "hook"
    hook.write_text(f'#!/bin/sh\necho "$@" > {said}\n')
    hook.chmod(0o700)
    monkeypatch.setenv("VPNCTL_DNS_COMMAND", str(hook))
    assert "fi serves on new.example.org" in rebuild(helsinki).err
    assert said.read_text() == "fi vpn.example.org new.example.org\n"
    assert "vpn.example.org does not lead to new.example.org yet" in rebuild(helsinki).err


def test_a_command_that_fails_is_named_with_what_it_said(helsinki, tmp_path, monkeypatch):
    hook = tmp_path / "hook"
    hook.write_text("#!/bin/sh\necho no such zone >&2\nexit 3\n")
    hook.chmod(0o700)
    monkeypatch.setenv("VPNCTL_DNS_COMMAND", str(hook))
    done = rebuild(helsinki)
    assert "failed with 3: no such zone" in done.err
    assert (done.code, "fi serves on new.example.org" in done.err) == (3, True)
    assert "dns_command" in done.err


def test_a_dry_run_changes_nothing_on_either_server(helsinki, fleet):
    old, new = fleet["fi.example.org"], fleet["new.example.org"]
    writes = old.writes, new.writes
    told = rebuild(helsinki, "--dry-run")
    assert (told.code, "2 devices would move from fi.example.org to new.example.org" in told.err) == (0, True)
    assert (old.writes, new.writes) == writes
    assert rebuild(helsinki, "--dry-run", "--json").json["devices"] == 2


def test_strangers_on_the_lost_server_do_not_come_along(helsinki, fleet):
    from tests.fleet.test_aliens import ALIEN

    fleet["fi.example.org"].links["wg0"].peers[ALIEN] = ["(none)", "10.66.9.9/32", "0", "0", "0"]
    helsinki("node", "sync", "fi")
    assert "fi serves on new.example.org" in rebuild(helsinki).err
    assert ALIEN not in fleet["new.example.org"].links["wg0"].peers
    assert '"changes": []' in helsinki("node", "sync", "fi", "--dry-run", "--json").out


def test_who_is_suspended_or_revoked_there_stays_out(helsinki, fleet):
    fleet["fi.example.org"].down = True
    helsinki("peer", "revoke", "alice/phone")
    helsinki("peer", "suspend", "bob/phone")
    assert "fi serves on new.example.org" in rebuild(helsinki).err
    ours = {row["public_key"] for row in helsinki("peer", "list", "--revoked", "--json").json}
    assert not ours & set(fleet["new.example.org"].links["wg0"].peers)
    assert all(row["state"] != "revoked, cut pending" for row in helsinki("peer", "list", "--revoked", "--json").json)


def test_a_rebuild_needs_a_server_to_go_to(service):
    done = service("--yes", "node", "rebuild", "fi", "--host", "")
    assert (done.code, "on which server?" in done.err) == (2, True)


def test_a_server_that_another_controller_drives_is_not_called_another_server(helsinki, fleet):
    old = fleet["fi.example.org"]
    old.files["/var/lib/vpnctl/token"] = ("600", b"cd" * 16 + b"\n")
    done = rebuild(helsinki)
    assert done.code == 7
    assert helsinki("node", "show", "fi", "--json").json["address"] == "root@fi.example.org:22"
    assert "fi serves on new.example.org" in rebuild(helsinki, "--destroyed").err


def test_one_that_lets_nobody_in_but_serves_keeps_the_node(helsinki, fleet):
    fleet["fi.example.org"].ssh_down = True
    done = rebuild(helsinki)
    assert done.code != 0
    assert "serves with wg0" in done.err
    assert "--destroyed" in done.err


def test_a_server_that_is_another_node_is_refused(helsinki, fleet):
    helsinki("node", "add", "other", "root@new.example.org", "--host-key-fp", _fp())
    done = rebuild(helsinki)
    assert (done.code, "that server is the node other" in done.err) == (5, True)


def test_where_the_name_does_not_lead_there_it_is_not_called_done(helsinki):
    assert rebuild(helsinki).code == 3


def test_new_files_are_handed_out_before_anything_is_waited_for(helsinki, clock, tmp_path, monkeypatch):
    # Whoever dials an address cannot come back before they have their new file.
    from vpnctl.actions.fleet import rebuild as work

    written = []
    clock.forward(minutes=1)
    monkeypatch.setattr(work, "wait", lambda *_args: written.append(len(list((tmp_path / "new").iterdir()))) or True)
    where = (*NEW, _fp(), "--public-host", "192.0.2.9", "--wait", "5", "--out", str(tmp_path / "new"))
    done = helsinki("--yes", "node", "rebuild", "fi", *where)
    assert (done.code, written[0]) == (0, 2), done


@pytest.mark.parametrize(("answers", "code"), [(True, 0), (False, 3)])
def test_a_server_behind_a_router_is_tried_where_people_dial_it(helsinki, fleet, resolver, monkeypatch, answers, code):
    from vpnctl.actions.fleet import probes
    from vpnctl.remote.probe import Handshake, Verdict

    resolver["vpn.example.org"] = {"203.0.113.7"}
    resolver["new.example.org"] = {"10.0.0.7"}
    verdict = Verdict.OK if answers else Verdict.SILENT
    monkeypatch.setattr(
        probes,
        "shake_all",
        lambda _app, node: {"wg0": Handshake(verdict if "vpn" in node.public_host else Verdict.SILENT)},
    )
    assert rebuild(helsinki, "--destroyed").code == code
