"""Many people move: by free capacity and plan, everybody checked first, in waves that stop, resumable."""

from __future__ import annotations

import json

import pytest

from tests.conftest import _fp


@pytest.fixture
def three(service):
    """Nodes fi, a and b, and ten people with a phone on fi."""
    for name in ("a", "b"):
        added = service("node", "add", name, f"root@{name}.example.org", "--host-key-fp", _fp(), "--provision")
        assert added.code == 0, added.err
    for number in range(10):
        service("user", "add", f"p{number}")
        assert service("peer", "add", f"p{number}/phone", "--node", "fi").code == 0
    return service


def living(run, node):
    """USER/DEVICE of devices whose newest peer is on a node."""
    rows = json.loads(run("peer", "list", "--node", node, "--json").out)
    return {f"{row['user']}/{row['device']}" for row in rows if "replaced" not in row["state"]}


def evacuate(run, *more):
    return run("--yes", "node", "evacuate", "fi", *more)


def test_a_drained_node_gets_no_new_devices_until_it_is_taken_back(three):
    three("node", "drain", "fi")
    assert three("node", "list", "--json").json[2]["state"] == "draining"
    three("user", "add", "new")
    three("peer", "add", "new/phone")
    assert "new/phone" not in living(three, "fi")
    assert "is being drained" in three("user", "migrate", "new", "--to", "fi").err
    assert three("node", "drain", "fi", "--off").code == 0
    assert three("user", "migrate", "new", "--to", "fi").code == 0


def test_everybody_moves_and_the_old_peers_stay_until_the_new_ones_are_heard_of(three, fleet, tmp_path):
    done = evacuate(three, "--to", "a,b", "--out", str(tmp_path / "moved"))
    assert done.code == 0, done.err
    assert len(living(three, "a")) == len(living(three, "b")) == 5
    assert len(list((tmp_path / "moved").iterdir())) == 10
    assert len(fleet["fi.example.org"].live_keys()) == 10, "make before break"
    assert three("node", "show", "fi", "--json").json["state"] == "draining"


def test_capacity_decides_who_goes_where_and_whoever_finds_no_room_stays(three, tmp_path):
    three("node", "set", "a", "--capacity", "7")
    three("node", "set", "b", "--capacity", "2")
    done = evacuate(three, "--to", "a,b", "--out", str(tmp_path / "moved"))
    assert done.code == 5
    assert (len(living(three, "a")), len(living(three, "b"))) == (7, 2)
    assert "  p9: no room on a, b" in done.err


def test_a_preview_moves_nobody_and_tells_the_same(three, fleet):
    before = fleet["a.example.org"].writes
    told = json.loads(evacuate(three, "--to", "a,b", "--dry-run", "--json").out)
    assert sorted(each["target"] for each in told["moves"]) == ["a"] * 5 + ["b"] * 5
    assert living(three, "a") == set()
    assert fleet["a.example.org"].writes == before
    assert "5 people would move from fi to a" in evacuate(three, "--to", "a,b", "--dry-run").err


def test_it_stops_at_the_wave_whose_target_does_not_serve_and_goes_on_when_it_does(three, fleet, tmp_path):
    out = tmp_path / "moved"
    fleet["a.example.org"].path = "out"
    stopped = evacuate(three, "--to", "a", "--wave", "3", "--out", str(out))
    assert stopped.code == 3
    assert list(out.iterdir()) == []
    assert "10 people are where they were" in stopped.err
    fleet["a.example.org"].path = "ok"
    three("node", "check", "a")
    done = evacuate(three, "--to", "a", "--wave", "3", "--out", str(out))
    assert done.code == 0, done.err
    assert len(list(out.iterdir())) == 10
    assert len(living(three, "a")) == 10


def test_run_again_it_makes_no_duplicates(three, tmp_path):
    evacuate(three, "--to", "a,b", "--out", str(tmp_path / "moved"))
    again = evacuate(three, "--to", "a,b", "--out", str(tmp_path / "moved"))
    assert (again.code, "nobody is left to move from fi" in again.err) == (0, True)
    assert len(json.loads(three("peer", "list", "--json").out)) == 20


def test_files_that_nobody_was_given_are_handed_out_by_the_next_run(three, tmp_path):
    first = evacuate(three, "--to", "a")
    assert "nobody was given the new files of 10 devices" in first.err
    evacuate(three, "--to", "a", "--out", str(tmp_path / "moved"))
    assert len(list((tmp_path / "moved").iterdir())) == 10


def test_a_lost_node_is_left_and_its_end_waits(three, fleet, tmp_path):
    fleet["fi.example.org"].down = True
    done = evacuate(three, "--to", "a,b", "--out", str(tmp_path / "moved"))
    assert done.code == 3
    assert len(living(three, "a")) == 5
    assert len(list((tmp_path / "moved").iterdir())) == 10


def test_a_protocol_that_no_target_serves_keeps_its_people(three, tmp_path):
    three("endpoint", "add", "fi", "amneziawg")
    three("peer", "add", "p0/laptop", "--node", "fi", "--protocol", "amneziawg")
    done = evacuate(three, "--to", "a", "--out", str(tmp_path / "moved"))
    assert done.code == 5
    assert "p0: no target serves amneziawg, wireguard" in done.err
    assert "vpnctl node provision NODE --protocol" in done.err
    assert len(living(three, "a")) == 9


def test_a_plan_keeps_its_locations(three, tmp_path):
    plans = tmp_path / "plans.yaml"
    plans.write_text("plans:\n  - {name: home, days: 30, locations: [b, fi]}\n")
    three("--yes", "inventory", "apply", str(plans))
    three("user", "set", "p0", "--no-unlimited")
    granted = three("subscription", "grant", "p0", "--plan", "home")
    assert granted.code == 0, granted.err
    told = json.loads(evacuate(three, "--to", "a,b", "--dry-run", "--json").out)
    assert {each["target"] for each in told["moves"] if each["user"] == "p0"} == {"b"}
    only = evacuate(three, "--to", "a", "--dry-run")
    assert "p0: the plan is for b, fi only" in only.err


@pytest.mark.parametrize("to", ["", "fi", "nowhere"])
def test_targets_that_take_nobody_are_refused(three, to):
    assert evacuate(three, "--to", to).code in (2, 5)
    assert len(living(three, "fi")) == 10


def test_shares_are_made_equal_with_those_who_were_away_longest(three, tmp_path):
    told = json.loads(three("--yes", "node", "rebalance", "--dry-run", "--json").out)
    assert sorted(each["target"] for each in told["moves"]) == ["a", "a", "a", "b", "b", "b"]
    done = three("--yes", "node", "rebalance", "--out", str(tmp_path / "moved"))
    assert done.code == 0, done.err
    assert {len(living(three, node)) for node in ("fi", "a", "b")} == {3, 4}
    again = three("--yes", "node", "rebalance")
    assert "each node has its share already" in again.err


def test_shares_follow_capacities(three, tmp_path):
    for node, capacity in (("fi", 10), ("a", 30), ("b", 60)):
        three("node", "set", node, "--capacity", str(capacity))
    three("--yes", "node", "rebalance", "--out", str(tmp_path / "moved"))
    assert [len(living(three, node)) for node in ("fi", "a", "b")] == [1, 3, 6]


@pytest.fixture
def blocked(three, fleet, clock):
    """Node fi answers SSH and serves, and no packet reaches it: `blocked` after as many looks as that takes."""
    three("jobs", "run", "health")
    fleet["fi.example.org"].udp_blocked = True
    for _ in range(4):
        clock.forward(minutes=1)
        three("jobs", "run", "health")
    assert three("node", "show", "fi", "--json").json["health"] == "blocked"
    return three


def test_without_a_standing_permission_a_blocked_node_keeps_its_people(blocked):
    assert "not permitted" in blocked("jobs", "run", "evacuate").err
    assert len(living(blocked, "fi")) == 10


def test_with_one_so_many_a_day_are_moved_and_it_is_told(blocked, clock, monkeypatch):
    monkeypatch.setenv("VPNCTL_EVACUATE_TO", "a, b")
    monkeypatch.setenv("VPNCTL_EVACUATE_DEVICES", "4")
    assert "4 moved, 6 not" in blocked("jobs", "run", "evacuate").err
    assert len(living(blocked, "a") | living(blocked, "b")) == 4
    assert "the day's limit is reached" in blocked("jobs", "run", "evacuate").err
    assert any(row["kind"] == "evacuated" for row in blocked("notice", "list", "--json").json)
    clock.forward(days=1)
    monkeypatch.setenv("VPNCTL_EVACUATE_DEVICES", "50")
    blocked("jobs", "run", "evacuate")
    assert len(living(blocked, "a") | living(blocked, "b")) == 10


def test_a_target_that_fails_its_proof_gets_nobody_by_itself(blocked, fleet, monkeypatch):
    monkeypatch.setenv("VPNCTL_EVACUATE_TO", "a")
    fleet["a.example.org"].path = "out"
    blocked("node", "check", "a")
    assert "no node of evacuate_to is up" in blocked("jobs", "run", "evacuate").err
    assert [row["kind"] for row in blocked("notice", "list", "--json").json].count("evacuated") == 1, "told once a day"
    blocked("jobs", "run", "evacuate")
    assert [row["kind"] for row in blocked("notice", "list", "--json").json].count("evacuated") == 1
    assert len(living(blocked, "fi")) == 10


def test_a_dry_run_of_the_job_moves_nobody(blocked, monkeypatch):
    monkeypatch.setenv("VPNCTL_EVACUATE_TO", "a")
    assert "0 moved, 10 not" in blocked("jobs", "run", "evacuate", "--dry-run").err
    assert len(living(blocked, "fi")) == 10


def test_who_is_stuck_on_a_dead_target_goes_on_to_another_one(three, fleet, tmp_path):
    fleet["a.example.org"].down = True
    assert evacuate(three, "--to", "a").code == 3
    done = evacuate(three, "--to", "b", "--out", str(tmp_path / "moved"))
    assert len(list((tmp_path / "moved").iterdir())) == 10, done.err
    assert len(living(three, "b")) == 10
    assert len(fleet["fi.example.org"].live_keys()) == 10


def test_a_rebalance_that_stopped_goes_on_and_hands_the_files_out(three, fleet, tmp_path):
    fleet["a.example.org"].down = True
    three("--yes", "node", "rebalance", "--out", str(tmp_path / "moved"))
    fleet["a.example.org"].down = False
    done = three("--yes", "node", "rebalance", "--out", str(tmp_path / "moved"))
    assert done.code == 0, done.err
    assert len(list((tmp_path / "moved").iterdir())) == 6


def test_the_job_moves_others_each_day_also_where_nobody_got_a_file(blocked, clock, monkeypatch):
    monkeypatch.setenv("VPNCTL_EVACUATE_TO", "a")
    monkeypatch.setenv("VPNCTL_EVACUATE_DEVICES", "4")
    for day in (4, 8, 10):
        blocked("jobs", "run", "evacuate")
        assert len(living(blocked, "a")) == day
        blocked("jobs", "run", "evacuate")  # which says once a day why no more are moved
        told = len([row for row in blocked("notice", "list", "--json").json if row["kind"] == "evacuated"])
        blocked("jobs", "run", "evacuate")
        assert told == len([row for row in blocked("notice", "list", "--json").json if row["kind"] == "evacuated"])
        clock.forward(days=1)


def test_a_device_whose_own_time_is_over_is_named_and_stays(three, app, clock, tmp_path):
    import sqlalchemy as sa

    from vpnctl.store import models

    with app.store.write() as tx:
        first = tx.execute(sa.select(models.peer.c.id).order_by(models.peer.c.ipv4).limit(1)).scalar()
        tx.execute(sa.update(models.peer).where(models.peer.c.id == first).values(expires_at=clock()))
    done = evacuate(three, "--to", "a", "--out", str(tmp_path / "moved"))
    assert (done.code, "own time is over" in done.err) == (5, True)


def test_capacity_holds_for_further_devices_of_those_on_their_way(three, tmp_path):
    three("node", "set", "a", "--capacity", "5")
    evacuate(three, "--to", "a")
    for number in range(10):
        three("peer", "add", f"p{number}/laptop", "--node", "fi")
    evacuate(three, "--to", "a,b", "--out", str(tmp_path / "moved"))
    assert len(living(three, "a")) == 5


def test_a_blocked_node_is_no_target_and_a_bad_one_does_not_keep_people_from_the_other(
    blocked, fleet, clock, monkeypatch
):
    monkeypatch.setenv("VPNCTL_EVACUATE_TO", "a, b")
    fleet["a.example.org"].udp_blocked = True
    for _ in range(4):
        clock.forward(minutes=1)
        blocked("jobs", "run", "health")
    blocked("jobs", "run", "evacuate")
    assert (living(blocked, "a"), len(living(blocked, "b"))) == (set(), 10)


def test_a_share_never_goes_beyond_a_capacity(three, tmp_path):
    three("node", "set", "a", "--capacity", "1")
    three("--yes", "node", "rebalance", "--out", str(tmp_path / "moved"))
    assert len(living(three, "a")) == 1


def test_each_wave_costs_a_target_one_connection_and_the_old_node_one_in_all(three, fleet, tmp_path, monkeypatch):
    opened = []
    real = type(fleet["a.example.org"]).connect
    monkeypatch.setattr(
        type(fleet["a.example.org"]), "connect", lambda node, login: opened.append(node.name) or real(node, login)
    )
    done = evacuate(three, "--to", "a", "--wave", "2", "--out", str(tmp_path / "moved"))
    assert done.code == 0, done.err
    assert (opened.count("a.example.org"), opened.count("fi.example.org")) == (5, 1)


def test_who_may_not_go_is_no_part_of_what_is_moved(three, tmp_path):
    # The idlest are bound to fi by their plan: others go in their place, until each node has its share.
    plans = tmp_path / "plans.yaml"
    plans.write_text("plans:\n- name: here\n  days: 30\n  locations: [fi]\n")
    assert three("inventory", "apply", str(plans), "--yes").code == 0
    for number in range(6):
        three("subscription", "grant", f"p{number}", "--plan", "here")
    done = three("--yes", "node", "rebalance", "fi", "a", "--out", str(tmp_path / "moved"))
    assert done.code == 0, done.err
    assert living(three, "a") == {f"p{number}/phone" for number in range(6, 10)}
