"""People in a panel: put in, seen there, disabled, enabled, deleted, counted, moved, cut with what is open."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.conftest import _fp
from tests.panel.people import add, every, mine, seen_absent
from tests.support.panel import MIDDLE, NEW


@every
def test_a_person_is_put_in_and_seen(served, cli, panel):
    link = urlsplit(add(cli))
    found = mine(panel)
    assert (link.scheme, link.username, link.port) == ("vless", found["id"], 8443)
    query = {name: values[0] for name, values in parse_qs(link.query).items()}
    assert query["security"] == "reality"
    assert (query["sni"], query["sid"], query["fp"], query["flow"]) == ("example.org", "ab12", "firefox", found["flow"])
    assert found["enable"] is True
    assert (found["totalGB"], found["expiryTime"]) == (0, 0)
    assert cli("peer", "list", "--json").json[0]["state"] == "active"
    assert cli("peer", "verify", "alice", "--json").json["verdict"] == "ok"


@every
def test_suspended_means_seen_disabled_and_resumed_seen_enabled(served, cli, panel):
    add(cli)
    before = mine(panel)["id"]
    said = cli("peer", "suspend", "alice", "--yes")
    assert said.code == 0, said.err
    assert "no longer on p" in said.err
    assert mine(panel)["enable"] is False
    assert cli("peer", "verify", "alice", "--json").json["verdict"] == "cut, as it should be"
    assert cli("peer", "resume", "alice").code == 0
    assert (mine(panel)["enable"], mine(panel)["id"]) == (True, before)


def test_what_is_open_of_somebody_who_is_cut_off_is_ended(served, cli, panel):
    add(cli)
    name = mine(panel)["email"]
    assert cli("peer", "suspend", "alice", "--yes").code == 0
    assert panel.cut == [name]


def test_that_nobody_can_end_what_is_open_is_said(served, cli, panel):
    panel.logs = False
    add(cli)
    said = cli("peer", "suspend", "alice", "--yes")
    assert said.code == 0
    assert "what is open goes on until it ends" in said.err


@every
def test_a_renewed_device_takes_the_place_of_the_old_one(served, cli, panel):
    add(cli)
    before = mine(panel)["id"]
    assert cli("peer", "regen", "alice", "--yes").code == 0
    assert mine(panel)["id"] != before


@every
def test_revoked_means_seen_deleted_also_when_it_was_disabled(served, cli, panel):
    add(cli)
    add(cli, "bob")
    assert cli("peer", "suspend", "alice", "--yes").code == 0
    assert cli("peer", "revoke", "alice", "--yes").code == 0
    assert cli("peer", "revoke", "bob", "--yes").code == 0
    assert list(panel.clients(3)) == ["guest@there"]


@every
def test_the_last_client_of_an_inbound_can_be_revoked(served, cli, panel):
    panel.inbounds[3]["settings"]["clients"] = []
    add(cli)
    said = cli("peer", "revoke", "alice", "--yes")
    assert said.code == 0, said.err
    left = panel.clients(3)
    assert not any(email.startswith("p-") for email in left)
    assert not any(each["enable"] for each in left.values())
    add(cli, "bob")
    assert cli("node", "check", "p").code == 0
    assert not cli("node", "show", "p", "--json").json["aliens"], "what keeps the inbound is ours"


@every
def test_what_its_keeper_wrote_into_a_client_stays(served, cli, panel):
    add(cli)
    mine(panel).update(limitIp=2, comment="pays cash", tgId=77)
    panel.records[mine(panel)["email"]] = 5
    cli("peer", "suspend", "alice", "--yes")
    cli("peer", "resume", "alice")
    found = mine(panel)
    assert (found["limitIp"], found["comment"], found["tgId"]) == (2, "pays cash", 77)
    assert panel.records[found["email"]] == 5


@every
def test_nobody_elses_client_is_ever_touched(served, cli, panel):
    before = json.dumps(panel.clients(3)["guest@there"])
    add(cli)
    cli("peer", "suspend", "alice", "--yes")
    cli("peer", "revoke", "alice", "--yes")
    cli("node", "sync", "p")
    assert json.dumps(panel.clients(3)["guest@there"]) == before
    shown = cli("node", "show", "p", "--json").json["aliens"]
    assert [each["public_key"] for each in shown] == ["guest@there"]


@every
def test_many_go_in_at_once(served, cli, panel):
    rows = "".join(f"{name}/d{number}\n" for name in ("alice", "bob") for number in range(60))
    said = cli("peer", "add", "--from", "-", stdin=rows)
    assert said.code == 0, said.err
    assert len(panel.clients(3)) == 121


@every
def test_traffic_is_counted_and_a_quota_disables(served, cli, panel, clock, tmp_path):
    plan = tmp_path / "p.yaml"
    plan.write_text("plans:\n- name: small\n  days: 30\n  traffic: 1 GiB\n")
    cli("inventory", "apply", str(plan), "--yes")
    add(cli)
    cli("user", "set", "alice", "--limited")
    cli("subscription", "grant", "alice", "--plan", "small")
    clock.forward(minutes=5)
    panel.inbounds[3]["stats"][mine(panel)["email"]].update(up=2**30, down=2**20)
    cli("jobs", "run", "usage")
    assert cli("traffic", "show", "--user", "alice", "--json").json[-1]["total"] == 2**30 + 2**20
    cli("jobs", "run", "sync")
    assert mine(panel)["enable"] is False


@pytest.mark.parametrize("panel", [MIDDLE, NEW], indirect=True)
def test_a_change_takes_two_calls_and_a_look_one(served, cli, panel):
    """Without a token, logging in takes two more."""
    add(cli)
    served.calls = 0
    cli("node", "sync", "p")
    assert served.calls == 1
    served.calls = 0
    add(cli, "bob")
    assert served.calls == 2


def test_people_move_there_from_wireguard_and_the_old_device_ends_when_the_new_one_was_seen(
    served, cli, fleet, panel, clock
):
    assert cli("node", "add", "fi", "root@fi.example.org", "--host-key-fp", _fp(), "--provision").code == 0
    cli("peer", "add", "alice", "--node", "fi")
    said = cli("user", "migrate", "alice", "--to", "p", "--protocol", "3x-ui")
    assert said.code == 0, said.err
    assert "vless://" in said.out
    clock.forward(minutes=5)
    panel.inbounds[3]["stats"][mine(panel)["email"]].update(up=1000, down=2000)
    cli("jobs", "run", "usage", "sync")
    assert [row["node"] for row in cli("peer", "list", "--json").json] == ["p"]


@every
def test_traffic_is_counted_once_however_often_somebody_is_suspended(served, cli, panel, clock):
    add(cli)
    clock.forward(minutes=5)
    panel.inbounds[3]["stats"][mine(panel)["email"]].update(up=1000, down=5000)
    for _ in range(3):
        cli("jobs", "run", "usage")
        cli("peer", "suspend", "alice", "--yes")
        cli("node", "sync", "p")
        cli("peer", "resume", "alice")
        clock.forward(minutes=5)
    assert cli("traffic", "show", "--user", "alice", "--json").json[-1]["total"] == 6000


@every
def test_the_only_client_of_an_inbound_can_be_renewed(served, cli, panel):
    panel.inbounds[3]["settings"]["clients"] = []
    add(cli)
    before = mine(panel)["id"]
    assert cli("peer", "regen", "alice", "--yes").code == 0
    assert mine(panel)["id"] != before


@every
def test_suspended_means_switched_off_and_not_merely_used_up(served, cli, panel):
    add(cli)
    panel.inbounds[3]["stats"][mine(panel)["email"]]["enable"] = False
    assert cli("peer", "suspend", "alice", "--yes").code == 0
    assert mine(panel)["enable"] is False


def test_who_was_replaced_is_deleted_and_not_kept_disabled(served, cli, fleet, panel, clock):
    add(cli)
    assert cli("node", "add", "fi", "root@fi.example.org", "--host-key-fp", _fp(), "--provision").code == 0
    assert cli("user", "migrate", "alice", "--to", "fi", "--protocol", "wireguard").code == 0
    assert len(panel.clients(3)) == 2, "make before break"
    clock.forward(days=9)
    cli("jobs", "run", "sync")
    assert list(panel.clients(3)) == ["guest@there"]
    assert len(seen_absent(cli)) == 1


def test_clients_of_the_keepers_become_devices_with_the_links_that_they_have(served, cli, panel):
    whole = {"flow": "xtls-rprx-vision", "totalGB": 0, "expiryTime": 0}
    panel.put(3, "friend@there", **whole)
    panel.put(3, "gone@there", enable=False, **whole)
    before = dict(panel.clients(3)["friend@there"])
    told = cli("node", "adopt", "p", "--dry-run")
    assert "would be adopted: friend-there/main, gone-there/main" in told.err
    done = cli("node", "adopt", "p")
    assert done.code == 0, done.err
    assert panel.clients(3)["friend@there"] == before, "nothing of it was written"
    assert "guest@there stays a stranger: its flow is another one" in done.err
    rows = {each["user"]: each for each in cli("peer", "list", "--json").json}
    assert rows["friend-there"]["state"].startswith("active")
    assert rows["gone-there"]["state"] == "suspended"
    assert before["id"] in cli("peer", "config", "friend-there/main").out
    again = cli("node", "adopt", "p")
    assert (again.code, "nothing new was found" in again.err) == (0, True)
    cli("peer", "revoke", "friend-there/main")
    assert "friend@there" not in panel.clients(3)


def test_a_limit_that_the_panel_had_ends_with_the_adoption(served, cli, panel):
    panel.put(3, "rich@there", totalGB=10**9, expiryTime=1893456000000, flow="xtls-rprx-vision")
    done = cli("node", "adopt", "p")
    assert done.code == 0
    assert "note: limits that were set elsewhere end for rich-there/main: give these people a plan" in done.err
    client = panel.clients(3)["rich@there"]
    assert (client["totalGB"], client["expiryTime"]) == (0, 0)
    assert cli("node", "check", "p").code == 0


def test_a_limit_hides_no_flow_that_is_another_one(served, cli, panel):
    panel.put(3, "odd@there", totalGB=10**9, expiryTime=1893456000000, flow="")
    before = dict(panel.clients(3)["odd@there"])
    done = cli("node", "adopt", "p")
    assert "odd@there stays a stranger: its flow is another one" in done.err
    assert panel.clients(3)["odd@there"] == before
