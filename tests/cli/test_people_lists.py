"""Lists of people show their access."""

from __future__ import annotations

from datetime import timedelta

PLANS = """
plans:
  - {name: trial, days: 3, trial: true}
  - {name: month, days: 30, prices: {EUR: 499}}
"""


def test_lists_of_people_show_their_access(service, app, clock, tmp_path):
    path = tmp_path / "plans.yaml"
    path.write_text(PLANS)
    service("inventory", "apply", str(path), "--yes")
    service("user", "add", "ann", "bob", "cyd", "--unlimited")
    service("user", "set", "bob", "--limited")
    service("subscription", "grant", "ann", "--plan", "month")
    rows = {row["name"]: row for row in service("user", "list", "--json").json}
    assert rows["ann"]["access"] == "month"
    assert rows["ann"]["until"] == (clock() + timedelta(days=30)).isoformat().replace("+00:00", "Z")
    assert rows["bob"]["access"] == "no access granted"
    assert rows["cyd"]["access"] == "unlimited"
    service("peer", "add", "bob")
    assert [row["user"] for row in service("peer", "list", "--orphaned", "--json").json] == ["bob"]
    assert service("peer", "list", "--pending", "--json").json == []
    assert service("plan", "list", "--json").json[1]["active"] == 1
    assert service("plan", "show", "month", "--json").json["prices"] == {"EUR": 499}
    assert service("plan", "show", "week").code == 5
    assert service("subscription", "list", "--state", "gone").code == 2
    assert service("subscription", "cancel", "ann", "--yes").code == 0
    assert service("subscription", "list", "--user", "ann", "--json").json[0]["state"] == "cancelled"
    assert service("trial", "start", "cyd").code == 5
    exported = service("inventory", "export", "--users").out
    again = tmp_path / "again.yaml"
    again.write_text(exported)
    assert "nothing to change" in service("inventory", "apply", str(again)).err


def test_a_telegram_id_that_somebody_has_is_refused_with_whose_it_is(service):
    service("user", "add", "alice", "--telegram-id", "4711")
    service("user", "add", "bob")
    for said in (
        service("user", "set", "bob", "--telegram-id", "4711"),
        service("user", "add", "cyd", "--telegram-id", "4711"),
    ):
        assert (said.code, "alice's" in said.err, "vpnctl user show alice" in said.err) == (5, True, True)


def test_commands_that_change_nothing_say_so(service):
    service("user", "add", "alice")
    for command in (("user", "set", "alice"), ("endpoint", "set", "fi", "wg0", "--port", "51820")):
        said = service(*command)
        assert (said.code, "nothing to change" in said.err, "changed" in said.err) == (0, True, False)
        assert service(*command, "--json").json["changed"] is False
    said = service("notice", "send", "hi", "--user", "alice")
    assert "nothing was sent" in said.err


def test_an_empty_selection_is_no_reason_to_say_how_to_begin(service):
    assert "all: vpnctl peer list" in service("peer", "list", "--pending").err
    assert "all: vpnctl subscription list" in service("subscription", "list", "--state", "expired").err
    assert "vpnctl event list" in service("event", "list", "--subject", "zzz").err


def test_a_server_that_was_never_provisioned_does_not_pass_as_agreeing(service):
    from tests.conftest import _fp

    service("node", "add", "de", "root@de.example.org", "--host-key-fp", _fp())
    assert "vpnctl node provision de" in service("node", "check", "de").err
    assert "de is not provisioned" not in service("node", "check", "fi").err
