"""A node agrees when packets pass: what carries them is seen, healed, proven, and made to suit the server."""

from __future__ import annotations

import pytest

from tests.lab.host import run as on_host
from tests.lab.network import FAR_V4, FAR_V6
from tests.lab.servers import add

IPTABLES = "apt-get -qq update; apt-get -qq -y install iptables >/dev/null 2>&1"


@pytest.mark.parametrize(
    ("named", "script"),
    [
        ("missing address wg0", "ip addr flush dev wg0"),
        ("missing route wg0", "ip route del 10.66.0.0/16 dev wg0"),
        ("interface not up wg0", "ip link set wg0 down"),
    ],
)
def test_an_interface_that_lost_what_carries_packets_is_seen_healed_and_proven(operator, bare, lab, named, script):
    add(operator, bare)
    operator("user", "add", "alice")
    client = lab.client()
    client.connect(operator("peer", "add", "alice").out)
    assert client.ping(FAR_V4)
    bare.sh(script)
    assert client.silent(FAR_V4, 1)
    seen = operator("node", "check", "x", code=4)
    assert named in seen.out
    assert "packets do not pass" in seen.out
    assert "packets do not pass" in operator("status").out
    operator("node", "sync", "x")
    assert client.ping(FAR_V4)
    operator("node", "check", "x")
    assert "packets do not pass" not in operator("status").out
    client.disconnect()


def test_a_word_about_people_heals_what_carries_packets_too(operator, bare, lab):
    add(operator, bare)
    bare.sh("ip addr flush dev wg0")
    operator("user", "add", "alice")
    client = lab.client()
    client.connect(operator("peer", "add", "alice").out)
    assert client.ping(FAR_V4)
    client.disconnect()


def test_docker_that_comes_later_is_noticed_by_check_and_by_the_drift_job_and_mended_on_request(operator, bare):
    add(operator, bare)
    bare.sh(
        f"{IPTABLES}; iptables -N DOCKER-USER; iptables -A DOCKER-USER -j RETURN; iptables -P FORWARD DROP; iptables -I FORWARD -j DOCKER-USER"
    )
    seen = operator("node", "check", "x", code=4)
    assert "blocked by firewall wg0" in seen.out
    assert "ip filter FORWARD" in seen.out
    assert "packets do not pass" in seen.out
    job = operator("jobs", "run", "drift", "--json").json
    assert "x" in str(job)
    assert "packets do not pass" in operator("status").out
    operator("node", "provision", "x", "--yes")
    operator("node", "check", "x")


def test_a_chain_that_rejects_everything_is_named_and_the_rule_offered_that_helps(operator, bare, lab):
    """As Oracle's images have it: INPUT and FORWARD end in REJECT."""
    bare.sh(
        f"{IPTABLES}; iptables -A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT; iptables -A INPUT -i lo -j ACCEPT;"
        "iptables -A INPUT -p tcp --dport 22 -j ACCEPT; iptables -A INPUT -j REJECT --reject-with icmp-host-prohibited;"
        "iptables -A FORWARD -j REJECT --reject-with icmp-host-prohibited"
    )
    said = add(operator, bare, code=3)
    assert "iptables on this server drops packets of the VPN" in said.err
    assert "ip filter FORWARD" in said.err
    assert "ip filter INPUT" in said.err
    assert "Docker" not in said.err
    assert operator("node", "provision", "x", code=6).err.count("--forward-rule none") == 1
    operator("node", "provision", "x", "--yes")
    operator("user", "add", "alice")
    client = lab.client()
    client.connect(operator("peer", "add", "alice").out)
    assert client.ping(FAR_V4)
    client.disconnect()


def test_a_first_packet_that_is_slow_to_leave_is_no_packet_that_does_not_leave(operator, bare):
    """A busy node needs longer than a second for it now and then."""
    lost = "quota until 100 bytes drop"
    add(operator, bare)
    bare.sh(
        "nft 'table inet slow { chain out { type filter hook forward priority 900;"
        f" ip daddr != 169.254.232.2 tcp dport 9 {lost}; ip6 daddr != fd76:706e:232::2 tcp dport 9 {lost}; }}; }}'"
    )
    operator("node", "check", "x")
    assert bare.sh("nft list table inet slow").count("used 100 bytes") == 2, "the first one was lost, the next passed"


def test_a_node_whose_proof_failed_is_remembered_shown_and_avoided(operator, bare, pool):
    bare.sh(f"{IPTABLES}; iptables -A FORWARD -j REJECT")
    add(operator, bare, code=3)
    operator.take("good", pool[1])
    operator("user", "add", "alice", "bob")
    for name in ("alice", "bob"):
        operator("peer", "add", name)
    assert {row["node"] for row in operator("peer", "list", "--json").json} == {"good"}
    rows = {row["name"]: row for row in operator("node", "list", "--json").json}
    assert rows["good"]["packets"] == "ok"
    assert "packets of peers do not leave the node" in rows["x"]["packets"]
    assert rows["x"]["packets_at"]
    assert "packets do not pass" in operator("status").out
    insisted = operator("peer", "add", "alice", "--device", "tablet", "--node", "x")
    assert "packets did not pass x" in insisted.err


def test_a_line_that_carries_less_than_usual_gives_a_smaller_mtu(operator, bare, lab):
    on_host("ip", "-n", bare.namespace, "link", "set", "eth0", "mtu", "1400")
    assert "tunnel MTU 1320" in add(operator, bare).err
    operator("user", "add", "alice")
    text = operator("peer", "add", "alice").out
    assert "MTU = 1320" in text
    client = lab.client()
    client.connect(text)
    client.upload(FAR_V4, 300_000)
    client.disconnect()
    operator("node", "check", "x")


def test_a_line_that_carries_less_than_it_did_is_warned_about(operator, bare):
    add(operator, bare)
    on_host("ip", "-n", bare.namespace, "link", "set", "eth0", "mtu", "1400")
    said = operator("node", "check", "x", code=4).out
    assert "MTU too large wg0" in said
    assert "vpnctl endpoint set x wg0 --mtu 1320" in said
    operator("endpoint", "set", "x", "wg0", "--mtu", "1320", "--yes")
    operator("node", "check", "x")


def test_a_pool_is_picked_beside_the_networks_of_the_server(operator, bare):
    bare.sh(
        "ip link add other type veth peer name other2; ip link set other up; ip link set other2 up; ip addr add 10.66.0.1/24 dev other"
    )
    add(operator, bare)
    assert operator("endpoint", "list", "--json").json[0]["pool_v4"] == "10.67.0.0/16"
    operator("node", "check", "x")
    bare.sh("ip addr add 10.67.3.1/24 dev other")
    assert "pool overlaps wg0 (10.67.3.0/24 on other)" in operator("node", "check", "x", code=4).out


def test_a_server_without_ipv4_serves_ipv6(operator, bare, lab):
    on_host("ip", "-n", bare.namespace, "addr", "del", f"{bare.address}/16", "dev", "eth0")
    said = operator(
        "node", "add", "x", f"root@[{bare.address6}]:22", "--host-key-fp", bare.fingerprint(), "--identity", str(bare.key), "--provision"
    )  # fmt: skip
    assert "serves IPv6 only" in said.err
    operator("user", "add", "alice")
    text = operator("peer", "add", "alice").out
    assert "AllowedIPs = ::/0\n" in text
    assert "1.1.1.1" not in text
    client = lab.client()
    client.connect(text)
    assert client.ping(FAR_V6)
    client.disconnect()
    operator("node", "check", "x")


def test_a_server_with_ipv6_switched_off_serves_ipv4_and_says_so(operator, bare, lab):
    off = ("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1")
    on_host("ip", "netns", "exec", bare.namespace, *off)
    assert "IPv6 is switched off" in add(operator, bare).err
    operator("user", "add", "alice")
    client = lab.client()
    client.connect(operator("peer", "add", "alice").out)
    assert client.ping(FAR_V4)
    client.disconnect()
    operator("node", "check", "x")


def test_ipv6_that_is_switched_off_later_takes_no_interface_down(operator, bare):
    add(operator, bare)
    off = ("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1")
    on_host("ip", "netns", "exec", bare.namespace, *off)
    operator("node", "sync", "x")
    bare.reboot()
    assert "wg0" in bare.sh("wg show interfaces")
    operator("node", "check", "x")


def test_our_firewall_survives_a_reload_of_the_hosts_own(operator, bare):
    add(operator, bare)
    bare.sh("systemctl enable -q --now nftables; systemctl reload nftables")
    # systemctl waits for the reload of nftables; ours follows in the same transaction, a moment later.
    ours = "until nft list table inet vpnctl_wg0 2>/dev/null; do sleep 0.05; done"
    assert "masquerade" in bare.sh(f"timeout 20 sh -c '{ours}'")
    operator("node", "check", "x")
