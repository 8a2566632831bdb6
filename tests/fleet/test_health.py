"""Health: what one look means, hysteresis, flapping, our own network, alerts that are merged and throttled."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.conftest import HOST_KEY
from vpnctl import jobs
from vpnctl.actions.fleet import health
from vpnctl.actions.fleet.endpoints import add as add_endpoint
from vpnctl.actions.fleet.nodes import save
from vpnctl.remote.shell import Login
from vpnctl.rules.health import (
    HealthState,
    NodeVerdict,
    Sighting,
    alert,
    begin,
    changes,
    died_together,
    judge,
    own_network,
    step,
)  # fmt: skip
from vpnctl.rules.vitals import Vitals, vitals, warnings
from vpnctl.store import models
from vpnctl.store.rows import Health, Measurement, Notice

NOW = datetime(2027, 1, 15, 12, tzinfo=UTC)
UP, DOWN = Sighting(True, True, True, 9), Sighting(False, False, False, 0)


@pytest.mark.parametrize(
    ("look", "before", "verdict"),
    [
        (UP, 9, NodeVerdict.UP),
        (DOWN, 9, NodeVerdict.DOWN),
        (Sighting(False, False, True, 0), 9, NodeVerdict.DEGRADED),
        (Sighting(True, False, False, 0), 9, NodeVerdict.DOWN),
        (Sighting(True, True, False, 9), 9, NodeVerdict.BLOCKED),
        (Sighting(True, True, True, 1), 20, NodeVerdict.BLOCKED),
        (Sighting(True, True, True, 1), 4, NodeVerdict.UP),
        (Sighting(True, True, None, 3), 3, NodeVerdict.UP),
        (Sighting(False, False, None, 0), 3, NodeVerdict.DOWN),
    ],
    ids=["up", "down", "ssh down, tunnel up", "interface down", "udp blocked", "sessions died together",
         "few people left by themselves", "no probe yet", "no probe, no ssh"],
)  # fmt: skip
def test_one_look_is_judged(look, before, verdict):
    assert judge(look, before) is verdict


def test_a_fifth_left_of_many_is_death_a_half_is_not():
    assert died_together(10, 2)
    assert not died_together(10, 3)
    assert not died_together(4, 0)


def after(*looks, state=None):
    state = state or begin(NOW)
    for number, found in enumerate(looks):
        state = step(state, found, NOW + timedelta(minutes=number))
    return state


def test_down_after_three_looks_up_after_two():
    up, down = NodeVerdict.UP, NodeVerdict.DOWN
    assert after(up).verdict is NodeVerdict.UNKNOWN
    assert after(up, up).verdict is up
    assert after(up, up, down, down).verdict is up
    assert after(up, up, down, down, down).verdict is down
    assert after(up, up, down, down, down, up).verdict is down
    assert after(up, up, down, down, down, up, up).verdict is up
    assert after(up, up, down, up, down, down).verdict is up, "one good look begins the count anew"


def test_kinds_of_bad_looks_count_together_and_the_last_one_names_it():
    assert (
        after(NodeVerdict.UP, NodeVerdict.UP, NodeVerdict.DOWN, NodeVerdict.DEGRADED, NodeVerdict.BLOCKED).verdict
        is NodeVerdict.BLOCKED
    )


def test_since_is_when_the_verdict_changed():
    found = after(
        NodeVerdict.UP, NodeVerdict.UP, NodeVerdict.DOWN, NodeVerdict.DOWN, NodeVerdict.DOWN, NodeVerdict.DOWN
    )
    assert found.since == NOW + timedelta(minutes=4)


def test_a_node_that_keeps_changing_flaps_and_is_heard_again_when_it_is_calm():
    flapping = after(*[NodeVerdict.UP, NodeVerdict.DOWN] * 8)
    assert flapping.flapping
    calm = after(*[NodeVerdict.UP] * 21, state=flapping)
    assert not calm.flapping
    assert changes("u" * 21) == 0
    assert changes("ud" * 10 + "u") == pytest.approx(100, abs=1)


def test_newer_changes_weigh_more():
    old, new = "ud" + "u" * 19, "u" * 19 + "du"
    assert changes(new) > changes(old)


def test_alerts_are_said_at_once_repeated_rarely_and_recovery_only_after_trouble():
    state, said = after(NodeVerdict.UP, NodeVerdict.UP), []
    what, state = alert(state, NOW)
    assert what is None, "nobody is told that all is well"
    state = after(*[NodeVerdict.DOWN] * 3, state=state)
    for minutes in (0, 1, 59, 61, 180, 301, 600, 1500, 1800, 3000, 4500):
        what, state = alert(state, NOW + timedelta(minutes=minutes))
        said += [minutes] if what else []
    assert said == [0, 61, 301, 1800, 4500], "at once, then after 1 h, 4 h, 24 h and every 24 h"
    state = after(NodeVerdict.UP, NodeVerdict.UP, state=state)
    assert alert(state, NOW)[0] == "up"
    assert alert(alert(state, NOW)[1], NOW)[0] is None


def test_flapping_is_said_once_and_mutes_the_rest():
    state = after(*[NodeVerdict.UP, NodeVerdict.DOWN] * 10)
    what, state = alert(state, NOW)
    assert what == "flapping"
    assert alert(step(state, NodeVerdict.DOWN, NOW), NOW)[0] is None


def test_half_of_three_nodes_and_more_is_our_own_network_one_of_two_is_not():
    assert own_network([DOWN, DOWN, UP])
    assert not own_network([DOWN, UP, UP])
    assert not own_network([DOWN, DOWN]), "two may well be down at once"
    assert not own_network([Sighting(False, False, True, 0)] * 3), "their tunnels answer"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("0.50 2 4000 1000 20 5 33", Vitals(0.5, 2, 33, 25, 20, 7)),
        ("0.50 2 4000 1000 20 99 33", Vitals(0.5, 2, 33, 25, 99, 7)),
        ("", None), ("x 2 3 4 5 6 7", None), ("nan 2 3 4 5 6 7", None), ("1 2 3", None), ("1 -2 3 4 5 6 7", None),
        ("0.1 2 4000 9999999 20 5 999", Vitals(0.1, 2, 100, 100, 20, 7)),
    ],
)  # fmt: skip
def test_vital_signs_are_read_and_nonsense_is_none(text, found):
    assert vitals(text, 1007, 1000.0) == found


def test_what_runs_short_is_warned_of():
    calm = Vitals(0.5, 2, 30, 50, 50, 0)
    assert warnings(calm) == {}
    assert set(warnings(replace(calm, disk=95, memory_free=3, cpu=99, load=9.0, skew=-90))) == {
        "disk", "memory", "cpu", "load", "clock",
    }  # fmt: skip
    assert warnings(None) == {}


# With nodes in memory


def notices(app, kind="health"):
    with app.store.read() as tx:
        rows = tx.all(Notice, models.notice.c.kind == kind, order=models.notice.c.created_at)
    return [row.details for row in rows]


def rounds(app, clock, count):
    for _ in range(count):
        clock.forward(minutes=1)
        jobs.run(app, "health")


def verdicts(app):
    return health.check(app).verdicts


def test_a_node_is_found_up_down_degraded_and_blocked(app, serve, clock):
    node = serve()
    rounds(app, clock, 2)
    assert verdicts(app) == {"fi": "up"}
    node.fake.ssh_down = True
    rounds(app, clock, 3)
    assert verdicts(app) == {"fi": "degraded"}
    node.fake.ssh_down, node.fake.udp_blocked = False, True
    rounds(app, clock, 3)
    assert verdicts(app) == {"fi": "blocked"}
    node.fake.down = True
    rounds(app, clock, 3)
    assert verdicts(app) == {"fi": "down"}
    node.fake.down = node.fake.udp_blocked = False
    rounds(app, clock, 2)
    assert verdicts(app) == {"fi": "up"}
    lines = [line for each in notices(app) for line in each["lines"]]
    assert [line.split(" is ")[1].split(":")[0] for line in lines] == ["degraded", "blocked", "down", "up"]
    assert "node evacuate" in lines[1]


def test_sessions_that_end_together_while_the_node_answers_are_a_block(app, serve, clock):
    from vpnctl.actions.fleet.settle import settle
    from vpnctl.actions.people import peers, users
    from vpnctl.actions.people.issue import Wanted

    node = serve()
    users.add(app, [f"u{number}" for number in range(10)])
    peers.add(app, [Wanted(f"u{number}") for number in range(10)])
    settle(app, [node.id])

    def online(count):
        node.fake.clock = int(clock().timestamp())
        for number, row in enumerate(node.fake.people()):
            row[2] = str(node.fake.clock - (10 if number < count else 1000))

    online(10)
    rounds(app, clock, 3)
    assert verdicts(app) == {"fi": "up"}
    for _ in range(4):
        online(1)
        rounds(app, clock, 1)
    assert verdicts(app) == {"fi": "blocked"}
    assert "ended together" in notices(app)[-1]["lines"][0]
    online(9)
    rounds(app, clock, 2)
    assert verdicts(app) == {"fi": "up"}


@pytest.fixture
def hundred(app, fleet):
    with app.store.write() as tx:
        nodes = [
            save(tx, app, Login(f"n{number}", "ssh", f"n{number}.example.org", 22, "root", HOST_KEY), None, {})
            for number in range(100)
        ]
    from vpnctl.actions.fleet.settle import Wish, settle
    from vpnctl.rules.changes import SYSTEM

    for node in nodes:
        add_endpoint(app, node.name, "wireguard", {})
    settle(app, [node.id for node in nodes], Wish(scope=SYSTEM, always=True))
    return [fleet[node.host] for node in nodes]


def test_a_hundred_nodes_that_flap_give_at_most_one_message_a_round(app, hundred, clock):
    for number in range(12):
        for index, fake in enumerate(hundred):
            fake.down = (number + index) % 2 == 0 and index % 3 != 0
        rounds(app, clock, 1)
    found = notices(app)
    assert len(found) <= 3
    assert all(len(each["lines"]) >= 1 for each in found)


def test_more_than_half_failing_at_once_is_said_once_as_our_own_network(app, hundred, clock):
    rounds(app, clock, 2)
    for fake in hundred[:60]:
        fake.down = True
    rounds(app, clock, 5)
    (only,) = notices(app)
    assert len(only["lines"]) == 1
    assert "60 of 100 nodes" in only["lines"][0]
    assert set(verdicts(app).values()) == {"up"}, "it says nothing about the nodes"
    for fake in hundred:
        fake.down = False
    rounds(app, clock, 3)
    assert notices(app)[-1]["lines"] == ["the network of the operator's machine is back"]


def test_no_more_than_twenty_messages_an_hour_and_what_was_held_is_said_later(app, serve, clock, monkeypatch):
    node = serve()
    rounds(app, clock, 2)
    monkeypatch.setattr(health, "PER_HOUR", 0)
    node.fake.down = True
    rounds(app, clock, 4)
    assert notices(app) == []
    monkeypatch.setattr(health, "PER_HOUR", 20)
    rounds(app, clock, 1)
    assert len(notices(app)) == 1


def test_resources_are_warned_of_once_a_day_and_only_when_they_last(app, serve, clock):
    node = serve()
    node.fake.clock = int(clock().timestamp())
    node.fake.health = "0.10 2 4000000 3000000 95 5 99"
    rounds(app, clock, 1)
    assert [each["what"] for each in notices(app, "resource")] == ["the disk is 95 % full"]
    for _ in range(5):
        node.fake.clock = int(clock().timestamp()) + 60
        rounds(app, clock, 1)
    assert [each["what"] for each in notices(app, "resource")] == ["the disk is 95 % full", "the CPU is 99 % busy"]


def test_a_measurement_below_the_operators_minimum_is_warned_of(app, serve, clock):
    node = serve()
    node.fake.clock = int(clock().timestamp()) + 60
    strict = replace(app, settings=replace(app.settings, max_latency_ms=15, min_throughput_mbit=80))
    with app.store.write() as tx:
        tx.insert(
            Measurement(
                id="m",
                node_id=node.id,
                at=clock(),
                way="tunnel",
                latency_ms=31.0,
                loss=0.0,
                down_mbit=95.0,
                up_mbit=40.0,
            )
        )
    rounds(strict, clock, 1)
    assert sorted(each["what"] for each in notices(app, "resource")) == [
        "measured 40 Mbit/s, wanted at least 80 Mbit/s", "measured latency 31 ms, wanted at most 15 ms",
    ]  # fmt: skip


def test_a_lying_node_changes_nobodys_access_and_breaks_no_round(app, serve, clock):
    node, other = serve(), serve("de")
    node.fake.health = "\x1b[31m;rm -rf / " * 9
    node.fake.answer = lambda out: out.replace(b"clock\t", b"clock\t99999999999999999999")
    rounds(app, clock, 3)
    found = verdicts(app)
    assert found["de"] == "up"
    assert other.fake.down is False


def test_a_look_changes_nothing_on_the_node(app, serve, clock):
    node = serve()
    writes, files = node.fake.writes, dict(node.fake.files)
    rounds(app, clock, 3)
    assert (node.fake.writes, node.fake.files) == (writes, files)


def test_events_tell_of_changed_verdicts(app, serve, clock):
    node = serve()
    rounds(app, clock, 2)
    node.fake.down = True
    rounds(app, clock, 3)
    import sqlalchemy as sa

    table = models.event.c
    with app.store.read() as tx:
        rows = tx.execute(
            sa.select(table.before, table.after).where(table.verb == "node.health").order_by(table.seq)
        ).all()
    assert [(before["verdict"], after["verdict"]) for before, after in rows] == [("unknown", "up"), ("up", "down")]


def test_state_is_kept_between_runs(app, serve, clock):
    serve()
    rounds(app, clock, 2)
    with app.store.read() as tx:
        row = tx.one(Health)
    assert health._state(row) == HealthState(NodeVerdict.UP, row.since, 2, "uu", False, None, None, 0)


# The commands


def test_verify_tells_ok_wrong_key_blocked_port_and_cut_apart(service, fleet):
    fi = fleet["fi.example.org"]
    service("user", "add", "alice")
    service("peer", "add", "alice")
    key = service("peer", "show", "alice", "--json").json["public_key"]

    def verify():
        run = service("peer", "verify", "alice", "--json")
        return run.code, run.json["verdict"], run.json["on_node"], run.json["handshake"]

    assert verify() == (0, "ok", "right", "ok")
    fi.links["wg0"].peers[key][0] = ALIEN_PSK
    assert verify() == (4, "the node has it with other parameters", "different", "ok")
    row = fi.links["wg0"].peers.pop(key)
    assert verify() == (4, "the node does not have it", "absent", "ok")
    service("node", "sync")
    fi.udp_blocked = True
    assert verify()[0::3] == (10, "no answer")
    fi.udp_blocked, fi.links["wg0"].port = False, 4
    assert verify()[0::3] == (10, "refused")
    service("node", "sync")
    fi.ssh_down = True
    assert verify() == (3, "the tunnel answers, but we could not read the node", "not read", "ok")
    fi.ssh_down = False
    service("peer", "suspend", "alice")
    assert verify()[:3] == (0, "cut, as it should be", "absent")
    fi.links["wg0"].peers[key] = row
    assert verify()[:3] == (4, "it may not connect, but the node still has it", "right")


ALIEN_PSK = "9TyNGWWqd4yyT7H8W5OtQCBVSCoOxeVh1nEBqUhKtTE="


def test_check_says_when_the_node_does_not_answer_on_udp(service, fleet):
    assert service("node", "check").code == 0
    fleet["fi.example.org"].udp_blocked = True
    run = service("node", "check")
    assert run.code == 4
    assert "no handshake wg0 (no answer)" in run.out


def test_an_endpoint_from_before_probes_gets_one_by_the_next_sync(service, fleet, app):
    from vpnctl.store.rows import Endpoint

    with app.store.write() as tx:
        tx.update(Endpoint, probe_identity=None, probe_secret_sealed=None, probe_shared_sealed=None)
    service("node", "sync")
    fi = fleet["fi.example.org"]
    assert len(fi.all_keys()) == 2, "the new one, and the old one kept as a stranger"
    service("user", "add", "alice")
    service("peer", "add", "alice")
    assert service("peer", "verify", "alice").code == 0


def test_node_list_shows_health_and_when_it_is_full(service, clock):
    for _ in range(2):
        clock.forward(minutes=1)
        service("jobs", "run", "health")
    service("node", "set", "fi", "--capacity", "10", "--traffic-limit", "1 TiB")
    service("user", "add", "u1", "u2", "u3")
    service("peer", "add", "u1", "u2", "u3")
    row = service("node", "list", "--json").json[0]
    assert (row["health"], row["peers"], row["room"], row["traffic_limit"]) == ("up", 3, 7, 2**40)
    assert row["full_on"] == (clock() + timedelta(days=70)).date().isoformat()
