"""Lifecycle on real servers, shown with packets: expiry, reactivation, quota, month; health and the prober."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.lab.network import FAR_V4
from vpnctl import jobs
from vpnctl.actions.sales import subscriptions
from vpnctl.app import open_app
from vpnctl.rules.months import next_month

PLANS = """
plans:
  - {name: month, days: 30}
  - {name: small, days: 90, traffic: 2 MB}
"""


@pytest.fixture
def phone(lab):
    client = lab.client()
    yield client
    client.disconnect()


@pytest.fixture
def shop(served, tmp_path):
    path = tmp_path / "plans.yaml"
    path.write_text(PLANS)
    served("inventory", "apply", str(path), "--yes")
    served("user", "add", "alice")
    return served


class Later:
    """The same service at another time: real SSH and real nodes, only our clock is elsewhere."""

    def __init__(self, operator, monkeypatch):
        self.operator = operator
        for key, value in operator.env.items():
            monkeypatch.setenv(key, value)

    def at(self, moment):
        from vpnctl.settings import load

        app = open_app(load(), "cli:test")
        return replace(app, clock=lambda: moment, uptime=lambda: ("another boot", moment.timestamp() % 1000))

    def run(self, name, moment):
        app = self.at(moment)
        try:
            return jobs.run(app, name, jobs.Mode(force=True))
        finally:
            app.store.close()


@pytest.fixture
def later(shop, monkeypatch):
    return Later(shop, monkeypatch)


def test_expiry_cuts_and_an_extension_restores_the_same_file(shop, later, phone, fi):
    shop("subscription", "grant", "alice", "--plan", "month")
    phone.connect(shop("peer", "add", "alice", "--node", "fi").out)
    assert phone.ping(FAR_V4, 20)
    now = datetime.now(UTC)
    assert later.run("expire", now + timedelta(days=29)).code == 0
    assert phone.ping(FAR_V4)
    assert later.run("expire", now + timedelta(days=31)).detail["events"] == {
        "subscription.expired": 1,
    }
    assert phone.silent(FAR_V4)
    assert fi.people() == set()
    app = later.at(now + timedelta(days=31))
    granted = subscriptions.extend(app, "alice")
    assert granted.subscription.ends_at > now + timedelta(days=60)
    app.store.close()
    assert later.run("sync", now + timedelta(days=31)).code == 0
    assert phone.ping(FAR_V4, 40), "key and address are what they were"


def test_expiry_while_the_node_is_off_is_proven_when_it_is_back(shop, later, phone, fi):
    shop("subscription", "grant", "alice", "--plan", "month")
    phone.connect(shop("peer", "add", "alice", "--node", "fi").out)
    assert phone.ping(FAR_V4, 20)
    moment = datetime.now(UTC) + timedelta(days=31)
    fi.cut()
    report = later.run("expire", moment)
    assert (report.code, list(report.detail["pending"])) == (0, ["fi"]), "a dead node is no failed run"
    fi.plug()
    assert later.run("expire", moment + timedelta(minutes=10)).code == 0
    assert phone.silent(FAR_V4)


def test_a_used_up_quota_cuts_and_the_first_of_the_month_restores(shop, later, phone, fi):
    shop("subscription", "grant", "alice", "--plan", "small")
    phone.connect(shop("peer", "add", "alice", "--node", "fi").out)
    assert phone.ping(FAR_V4, 20)
    phone._exec("ping", "-n", "-q", "-s", "1300", "-c", "900", "-i", "0.002", FAR_V4, check=False)
    shop("jobs", "run", "usage")
    row = shop("user", "show", "alice", "--json").json
    assert row["access"] == "traffic of this month used up"
    assert 2_000_000 <= row["used"] < 4_000_000
    assert phone.silent(FAR_V4)
    now = datetime.now(UTC)
    later.run("expire", next_month(now) - timedelta(seconds=5))
    assert phone.silent(FAR_V4, tries=1)
    later.run("expire", next_month(now))
    assert phone.ping(FAR_V4, 40)


def test_a_reboot_and_a_new_interface_neither_lose_nor_invent_traffic(shop, phone, fi):
    shop("user", "set", "alice", "--unlimited")
    phone.connect(shop("peer", "add", "alice", "--node", "fi").out)
    assert phone.ping(FAR_V4, 20)

    def total():
        shop("jobs", "run", "usage")
        return shop("traffic", "show", "--months", "1", "--json").json[-1]["total"]

    phone._exec("ping", "-n", "-q", "-s", "1000", "-c", "200", "-i", "0.005", FAR_V4, check=False)
    first = total()
    assert first > 400_000
    phone.disconnect()
    fi.reboot()
    assert 0 <= total() - first < 20_000, "counters began at zero; nothing is booked twice"
    fi.sh("systemctl restart wg-quick@wg0")
    assert 0 <= total() - first < 20_000
    used = shop("user", "show", "alice", "--json").json["used"]
    assert used == total()


def verdict(operator, rounds=3):
    for _ in range(rounds):
        operator("jobs", "run", "health")
    return {row["name"]: row["health"] for row in operator("node", "list", "--json").json}["fi"]


def alerts(operator):
    texts = [row["text"] for row in operator("notice", "list", "--json").json if row["kind"] == "health"]
    return [line.split(" is ")[1].split(":")[0] for text in texts for line in text.splitlines()]


def test_a_server_whose_sshd_stops_is_degraded(served, fi):
    assert verdict(served) == "up"
    fi.sh("systemctl stop ssh.socket ssh 2>/dev/null; systemctl stop ssh")
    try:
        assert verdict(served) == "degraded", "the tunnel answers, SSH does not"
    finally:
        fi.sh("systemctl start ssh")
        fi.wait()
    assert verdict(served, 2) == "up"
    assert alerts(served) == ["degraded", "up"]


def test_a_server_whose_packets_are_dropped_is_blocked(served, fi):
    assert verdict(served, 2) == "up"
    fi.sh("nft add table inet block; nft 'add chain inet block in { type filter hook input priority -10; }'; "
          "nft add rule inet block in udp dport 51820 drop")  # fmt: skip
    assert verdict(served) == "blocked"
    fi.sh("nft delete table inet block")
    assert verdict(served, 2) == "up"
    assert alerts(served) == ["blocked", "up"]


def test_a_server_whose_interface_stops_or_whose_cable_is_cut_is_down(served, fi):
    assert verdict(served, 2) == "up"
    fi.sh("systemctl stop wg-quick@wg0")
    assert verdict(served) == "down"
    served("node", "sync", "fi")
    assert verdict(served, 2) == "up"
    fi.cut()
    try:
        assert verdict(served) == "down"
    finally:
        fi.plug()
    assert alerts(served) == ["down", "up", "down"]


def test_verify_on_a_real_server_tells_ok_wrong_key_and_a_blocked_port_apart(served, fi):
    served("user", "add", "alice")
    served("peer", "add", "alice", "--node", "fi")

    def verify(code):
        found = served("peer", "verify", "alice", "--json", code=code).json
        return found["on_node"], found["handshake"]

    key = served("peer", "show", "alice", "--json").json["public_key"]
    assert verify(0) == ("right", "ok")
    probe = next(each for each in fi.sh("wg show wg0 peers").split() if each != key)
    fi.sh(f"wg genpsk > /tmp/psk; wg set wg0 peer {probe} preshared-key /tmp/psk; rm /tmp/psk")
    assert verify(4) == ("right", "psk mismatch")
    served("node", "sync", "fi")
    fi.sh(f"wg set wg0 peer {probe} remove")
    assert verify(10) == ("right", "no answer")
    served("node", "sync", "fi")
    fi.sh(f"wg set wg0 peer {key} remove")
    assert verify(4) == ("absent", "ok")
    served("node", "sync", "fi")
    fi.sh("wg set wg0 listen-port 51999")
    assert verify(10) == ("right", "refused")
    served("node", "sync", "fi")
    assert verify(0) == ("right", "ok")


def test_a_probe_does_not_disturb_a_running_connection(served, fi, phone):
    served("user", "add", "alice")
    phone.connect(served("peer", "add", "alice", "--node", "fi").out)
    assert phone.ping(FAR_V4, 20)
    with phone.running_ping(FAR_V4, 0.05) as log:
        for _ in range(5):
            served("peer", "verify", "alice")
    sent, lost = phone.lost(log)
    assert (sent > 20, lost) == (True, 0)


def test_a_measurement_agrees_with_ping_and_with_the_width_of_the_line(served, fi, phone):
    served("user", "add", "alice")
    phone.connect(served("peer", "add", "alice", "--node", "fi").out)
    assert phone.ping(FAR_V4, 20)
    tunnel = served("node", "measure", "fi", "--seconds", "1", "--json").json["measurements"][1]
    pinged = float(phone._exec("ping", "-n", "-q", "-c", "20", "-i", "0.05", "10.66.0.1").split("/")[-3])
    assert tunnel["loss"] == 0
    assert abs(tunnel["latency_ms"] - pinged) < 15, "both are the same short way; the machine is noisy"
    assert "10.66.255.254" not in fi.sh("wg show wg0 allowed-ips; cat /etc/wireguard/wg0.conf"), (
        "nothing is left behind"
    )
    assert served("node", "check", "fi").code == 0
    assert served("node", "show", "fi", "--json").json["state"] == "settled"
    fi.sh("tc qdisc add dev eth0 root tbf rate 20mbit burst 32kbit latency 50ms")
    try:
        narrow = served("node", "measure", "fi", "--seconds", "2", "--json").json["measurements"][1]
    finally:
        fi.sh("tc qdisc del dev eth0 root")
    assert 8 < narrow["down_mbit"] < 21, "what the node may send is 20 Mbit/s with all headers"
    assert tunnel["down_mbit"] > 1.5 * narrow["down_mbit"]
    ways = [row["way"] for row in served("node", "measure", "fi", "--history", "9", "--json").json]
    assert sorted(ways) == ["direct", "direct", "tunnel", "tunnel"]


def test_a_sweep_with_a_dead_node_reads_the_others(served, fi, de):
    fi.cut()
    try:
        report = json.loads(served("--json", "jobs", "run", "usage").out)[0]
    finally:
        fi.plug()
    assert report["code"] == 0
    assert list(report["detail"]["pending"]) == ["fi"]
