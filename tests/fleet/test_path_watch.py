"""Whether packets pass is watched: by the job health every quarter of an hour, and before anybody is moved."""

from __future__ import annotations

from tests.conftest import _fp
from vpnctl.store import models
from vpnctl.store.rows import Notice

OWN = [
    "table inet own",
    "chain forward",
    "type filter hook forward priority filter; policy drop;",
    "ip saddr 192.168.0.0/16 accept",
]


def test_a_node_that_stops_passing_packets_is_found_by_the_job_health_and_told_once(
    service, fleet, clock, app, monkeypatch
):
    monkeypatch.setenv("VPNCTL_ADMIN_IDS", "11")
    fi = fleet["fi.example.org"]
    service("jobs", "run", "health")
    fi.path = "out"
    clock.forward(minutes=5)
    service("jobs", "run", "health")
    assert service("node", "list", "--json").json[0]["packets"] == "ok", "tried a moment ago"
    for _ in range(2):
        clock.forward(minutes=16)
        service("jobs", "run", "health")
    assert "packets of peers do not leave the node" in service("status").out
    assert service("node", "list", "--json").json[0]["health"] == "no packets pass"
    fi.path = "ok"
    clock.forward(minutes=16)
    service("jobs", "run", "health")
    assert service("node", "list", "--json").json[0]["packets"] == "ok"
    with app.store.read() as tx:
        rounds = tx.all(Notice, models.notice.c.kind == "health")
    lines = [line for each in rounds for line in each.details.get("lines", [])]
    assert sum("packets do not pass fi" in line for line in lines) == 1
    assert lines[-1] == "packets pass fi again"


def test_nobody_is_handed_a_file_before_a_packet_passed_the_target(service, fleet):
    service("node", "add", "de", "root@de.example.org", "--host-key-fp", _fp(), "--provision")
    service("user", "add", "alice")
    service("peer", "add", "alice", "--node", "fi")
    fleet["de.example.org"].path = "out"
    said = service("user", "migrate", "alice", "--to", "de")
    assert said.code == 3
    assert "[Interface]" not in said.out
    assert "no config is handed out before packets pass" in said.err
    fleet["de.example.org"].path = "ok"
    service("node", "sync", "de")
    again = service("user", "migrate", "alice", "--to", "de")
    assert again.code == 0
    assert "[Interface]" in again.out


def test_a_chain_that_may_drop_is_named_where_nothing_is_known_for_certain(service, fleet):
    fi = fleet["fi.example.org"]
    fi.nft, fi.path = list(OWN), "out"
    said = service("node", "provision", "fi", "--yes")
    assert said.code == 3
    assert "first at inet own forward" in said.err
    assert "vpnctl node provision" not in said.err


def test_an_endpoint_that_is_down_is_told_by_status_as_soon_as_it_was_seen(service, fleet):
    fi = fleet["fi.example.org"]
    service("user", "add", "alice")
    service("peer", "add", "alice")
    live = fi.links.pop("wg0")
    assert service("node", "check", "fi").code == 4
    assert "wg0: not up" in service("status").out
    assert service("status", "--fail").code == 3
    assert service("peer", "verify", "alice").code == 4
    fi.links["wg0"] = live
    service("jobs", "run", "sync")
    assert service("node", "list", "--json").json[0]["packets"] == "ok", "what was down and is up again is no trouble"


def test_a_device_through_whose_node_no_packet_passes_is_not_verified_as_ok(service, fleet):
    service("user", "add", "alice")
    service("peer", "add", "alice")
    assert service("peer", "verify", "alice").code == 0
    fleet["fi.example.org"].path = "out"
    service("node", "check", "fi")
    said = service("peer", "verify", "alice", "--json")
    assert (said.code, said.json["on_node"]) == (4, "right")
    assert "packets do not pass" in said.json["verdict"]
    assert said.json["advice"] == "vpnctl node check fi"


def test_a_node_whose_endpoint_stops_is_told_once_as_down_and_not_also_as_a_lost_path(service, fleet, clock, app):
    fi = fleet["fi.example.org"]
    service("jobs", "run", "health")
    live = fi.links.pop("wg0")
    for _ in range(4):
        clock.forward(minutes=1)
        service("jobs", "run", "health")
    fi.links["wg0"] = live
    for _ in range(4):
        clock.forward(minutes=1)
        service("jobs", "run", "health")
    with app.store.read() as tx:
        rounds = tx.all(Notice, models.notice.c.kind == "health")
    lines = [line for each in rounds for line in each.details.get("lines", [])]
    assert [line.split(":")[0] for line in sorted(set(lines), key=lines.index)] == ["fi is down", "fi is up"]
