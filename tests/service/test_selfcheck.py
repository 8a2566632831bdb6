"""The service knows itself: what does not run, is full, unconfirmed, or leads elsewhere."""

from __future__ import annotations

import pytest

from vpnctl.actions.service import selfcheck
from vpnctl.store import models
from vpnctl.store.rows import Node


def found(app):
    return {each.subject: each.what for each in selfcheck.findings(app)}


def test_a_service_whose_jobs_never_ran_says_so_first(service):
    said = service("status")
    assert "never run here" in said.out
    assert "all is well" not in said.out
    assert service("status", "--fail").code == 3


def test_a_service_whose_jobs_stopped_says_since_when(app, serve, clock):
    from vpnctl import jobs

    serve()
    for name in selfcheck.ESSENTIAL:
        jobs.run(app, name)
    assert "jobs" not in found(app)
    clock.forward(hours=2)
    assert "not run lately" in found(app)["jobs"]


def test_the_pace_of_essential_jobs_is_the_one_of_their_timers():
    from vpnctl import jobs

    assert {name: jobs.module(name).TIMER.every for name in selfcheck.ESSENTIAL} == selfcheck.ESSENTIAL


def test_timers_that_are_off_are_named_with_the_command(app, serve, tmp_path, monkeypatch):
    serve()
    (tmp_path / "vpnctl-expire.timer").write_text("")
    (tmp_path / "vpnctl-sync.timer").write_text("")
    monkeypatch.setattr(selfcheck, "SYSTEMD", tmp_path)
    monkeypatch.setattr(selfcheck, "UNITS", tmp_path)
    states = {"vpnctl-expire.timer": {"ActiveState": "inactive"}, "vpnctl-sync.timer": {"ActiveState": "active"}}
    monkeypatch.setattr(selfcheck, "unit_states", lambda _units: states)
    attention = next(each for each in selfcheck.findings(app) if each.subject == "timers")
    assert "off: expire" in attention.what
    assert attention.command == "systemctl enable --now vpnctl-expire.timer"


@pytest.mark.parametrize(("state", "word"), [({"ActiveState": "inactive", "SubState": "dead"}, "does not run"), ({"ActiveState": "activating", "SubState": "auto-restart"}, "keeps restarting")])  # fmt: skip
def test_a_bot_that_does_not_stay_up_is_named(app, serve, tmp_path, monkeypatch, state, word):
    serve()
    (tmp_path / "vpnctl-bot.service").write_text("")
    monkeypatch.setattr(selfcheck, "SYSTEMD", tmp_path)
    monkeypatch.setattr(selfcheck, "UNITS", tmp_path)
    monkeypatch.setattr(selfcheck, "unit_states", lambda units: dict.fromkeys(units, state))
    assert word in found(app)["bot"]


def test_an_unconfirmed_recovery_key_a_full_disk_and_a_jumped_clock_are_named(app, serve, clock, monkeypatch):
    from vpnctl import jobs

    serve()
    jobs.run(app, "sync")
    monkeypatch.setattr(selfcheck, "LEAST_FREE", 2**62)
    clock.jump(days=3)
    said = found(app)
    assert {"recovery key", "disk", "clock"} <= set(said)


def test_a_name_that_does_not_resolve_or_leads_elsewhere_is_named(app, serve, monkeypatch):
    node = serve()
    monkeypatch.setattr(selfcheck, "addresses", lambda _name: set())
    assert "does not resolve" in found(app)["fi"]
    with app.store.write() as tx:
        tx.update(Node, models.node.c.id == node.id, host="8.8.8.8")
    monkeypatch.setattr(selfcheck, "addresses", lambda _name: {"9.9.9.9"})
    assert "leads to 9.9.9.9, not to 8.8.8.8" in found(app)["fi"]


def test_files_from_before_a_change_of_port_stay_named_until_they_are_handed_out_again(service, clock):
    service("user", "add", "alice")
    service("peer", "add", "alice")
    clock.forward(minutes=1)
    service("endpoint", "set", "fi", "wg0", "--port", "4444", "--yes")
    service("node", "sync")
    assert "devices with files from before a change: 1" in service("status").out
    assert [row["user"] for row in service("peer", "list", "--stale", "--json").json] == ["alice"]
    clock.forward(minutes=1)
    service("peer", "config", "alice")
    assert "from before a change" not in service("status").out
