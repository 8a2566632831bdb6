"""When a node is full."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from vpnctl.rules.planning import Load, estimate

TODAY = date(2027, 1, 15)


GIB = 2**30


@pytest.mark.parametrize(
    ("load", "room", "full_on", "why"),
    [
        (Load(100, 30, 50, 0, 30, 200, None), 100, TODAY + timedelta(days=100), "peers"),
        (Load(100, 0, 50, 0, 30, 200, None), 100, None, ""),
        (Load(100, -5, 50, 0, 30, 200, None), 100, None, ""),
        (Load(200, 30, 50, 0, 30, 200, None), 0, TODAY, "peers"),
        (Load(250, 30, 50, 0, 30, 200, None), 0, TODAY, "peers"),
        (Load(100, 30, 50, 500 * GIB, 30, None, 1000 * GIB), 100, TODAY + timedelta(days=100), "traffic"),
        (Load(100, 30, 50, 500 * GIB, 30, 150, 1000 * GIB), 50, TODAY + timedelta(days=50), "peers"),
        (Load(100, 30, 50, 250 * GIB, 15, None, 1000 * GIB), 100, TODAY + timedelta(days=100), "traffic"),
        (Load(100, 30, 0, 0, 1, None, 1000 * GIB), None, None, ""),
        (Load(0, 1, 0, 0, 1, 10**6, None), 10**6, None, ""),
        (Load(3, 3, 0, 0, 1, None, None), None, None, ""),
    ],
)
def test_when_a_node_is_full(load, room, full_on, why):
    found = estimate(load, TODAY)
    assert (found.room, found.full_on, found.why) == (room, full_on, why)


def test_the_estimate_says_what_an_active_device_moves():
    assert estimate(Load(100, 0, 50, 500 * GIB, 15, None, None), TODAY).per_active == 20 * GIB


def test_status_warns_of_full_nodes_and_bad_health(service, fleet, clock):
    service("node", "set", "fi", "--capacity", "2")
    service("user", "add", "u1", "u2")
    service("peer", "add", "u1", "u2")
    fleet["fi.example.org"].udp_blocked = True
    for _ in range(3):
        clock.forward(minutes=1)
        service("jobs", "run", "health")
    out = service("status").out
    assert "fi: full" in out
    assert "fi: blocked" in out
