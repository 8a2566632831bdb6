"""Bad luck on real servers."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.lab.network import FAR_V4

IMPORTS = Path(__file__).parents[1] / "support/imports"
ALIEN = "9TyNGWWqd4yyT7H8W5OtQCBVSCoOxeVh1nEBqUhKtTE="


def test_a_server_with_a_wireguard_of_its_own_is_not_touched(operator, pool):
    node = pool[0]
    node.sh("apt-get -qq update; apt-get -qq -y install wireguard-tools >/dev/null 2>&1")
    node.sh(
        "umask 077; printf '[Interface]\\nPrivateKey = %s\\nAddress = 10.9.0.1/24\\nListenPort = 51820\\n\\n[Peer]\\nPublicKey = "
        + ALIEN
        + "\\nAllowedIPs = 10.9.0.2/32\\n' $(wg genkey) > /etc/wireguard/wg0.conf; systemctl enable -q --now wg-quick@wg0"
    )
    before = node.sh("sha256sum /etc/wireguard/wg0.conf; wg show wg0 dump")
    try:
        said = operator(
            "node",
            "add",
            "x",
            f"root@{node.address}",
            "--host-key-fp",
            node.fingerprint(),
            "--identity",
            str(node.key),
            "--provision",
            code=7,
        )
        assert "another server key; nothing was written" in said.err
        assert node.sh("sha256sum /etc/wireguard/wg0.conf; wg show wg0 dump") == before
        operator("endpoint", "remove", "x", "wg0", "--yes", code=None)
        assert node.sh("sha256sum /etc/wireguard/wg0.conf; wg show wg0 dump") == before
    finally:
        node.sh("systemctl stop wg-quick@wg0", check=False)


def test_a_peer_added_by_hand_is_kept_shown_and_pruned_only_when_asked(served, fi):
    fi.sh(f"wg set wg0 peer {ALIEN} allowed-ips 10.66.200.1/32")
    served("user", "add", "alice")
    served("peer", "add", "alice", "--node", "fi")
    assert ALIEN in fi.sh("wg show wg0 peers")
    assert ALIEN in served("node", "show", "fi").out
    assert "alien peers are kept there: 1" in served("status").out
    fi.reboot()
    assert ALIEN in fi.sh("wg show wg0 peers")
    served("node", "sync", "fi", "--prune-aliens", code=6)
    served("node", "sync", "fi", "--prune-aliens", "--yes")
    assert ALIEN not in fi.sh("wg show wg0 peers; cat /etc/wireguard/wg0.conf")


def test_each_drift_made_by_hand_is_named_and_healed(served, fi):
    served("user", "add", "alice")
    served("peer", "add", "alice", "--node", "fi")
    key = served("peer", "show", "alice", "--json").json["public_key"]
    by_hand = {
        "missing peer": f"wg set wg0 peer {key} remove",
        "parameter drift": f"wg set wg0 peer {key} allowed-ips 10.66.0.77/32",
        "duplicate allowed IPs": f"wg set wg0 peer {ALIEN} allowed-ips $(wg show wg0 allowed-ips | awk '$1 == \"{key}\" {{print $2}}')",
        "write /etc/wireguard/wg0.conf (differs)": "echo '# by hand' >> /etc/wireguard/wg0.conf",
        "write /etc/wireguard/wg0.conf (mode": "chmod 644 /etc/wireguard/wg0.conf",
        "load firewall": "nft flush ruleset",
        "start unit": "systemctl disable -q wg-quick@wg0",
        "interface down": "systemctl stop wg-quick@wg0",
        "sysctl forwarding": "sysctl -qw net.ipv4.ip_forward=0",
        "port 4444 instead of 51820": "wg set wg0 listen-port 4444",
    }
    for named, script in by_hand.items():
        fi.sh(script)
        assert named in served("node", "check", "fi", code=4).out
        served("node", "sync", "fi")
        served("node", "check", "fi")


def test_a_corrupt_config_file_is_rendered_anew(served, fi):
    served("user", "add", "alice")
    served("peer", "add", "alice", "--node", "fi")
    fi.sh("head -c 100 /etc/wireguard/wg0.conf > /etc/wireguard/x; mv /etc/wireguard/x /etc/wireguard/wg0.conf")
    served("node", "sync", "fi")
    served("node", "check", "fi")
    fi.sh("> /etc/wireguard/wg0.conf")
    served("node", "sync", "fi")
    served("node", "check", "fi")


def test_a_full_disk_on_the_node_stops_no_removal_and_tears_no_file(served, fi):
    served("user", "add", "alice", "bob")
    served("peer", "add", "alice", "--node", "fi")
    served("peer", "add", "bob", "--node", "fi")
    fi.sh(
        "mkdir -p /root/real; cp -a /etc/wireguard/. /root/real/; mount -t tmpfs -o size=8k tmpfs /etc/wireguard; cp -a /root/real/. /etc/wireguard/; dd if=/dev/zero of=/etc/wireguard/fill bs=4k 2>/dev/null; true"
    )
    before = fi.sh("sha256sum < /etc/wireguard/wg0.conf")
    try:
        said = served("peer", "revoke", "alice", code=3)
        assert "No space left on device" in said.err
        assert len(fi.people()) == 1, "cut at once"
        assert fi.sh("sha256sum < /etc/wireguard/wg0.conf") == before
        assert served("peer", "list", "--user", "alice", "--json").json[0]["state"] == "revoked, cut pending"
    finally:
        fi.sh("umount /etc/wireguard")
    served("node", "sync", "fi")
    served("node", "check", "fi")


def test_a_node_that_does_not_answer_is_given_up_after_ten_seconds_and_delays_nobody(served, fi):
    served("user", "add", "alice")
    fi.cut()
    try:
        start = time.monotonic()
        said = served("node", "sync", code=3)
        assert "no answer within 10 s" in said.err
        assert "fi" in said.err
        assert time.monotonic() - start < 60
        config = served("peer", "add", "alice", "--node", "fi", code=3)
        assert "[Interface]" in config.out
    finally:
        fi.plug()
    served("jobs", "run", "sync")
    assert "! fi" not in served("status").out


def test_a_hanging_and_a_flooding_node_end_by_our_deadline_and_cap(served, fi, tmp_path):
    """bash on the node is replaced by something that never ends, and by something that never stops talking."""
    import sys

    short = (
        "import vpnctl.remote.node as n; n.COMMAND_SECONDS = n.APPLY_SECONDS = 3.0; from vpnctl.cli import run; run()"
    )
    shell, real = fi.root / "usr/bin/bash", fi.root / "usr/bin/bash.real"
    fi.sh("cp /usr/bin/bash /usr/bin/bash.real")
    try:
        for program, text in (("sleep infinity", "no answer within 3 s"), ("yes", "sent more than")):
            fake = fi.root / "usr/bin/bash.fake"
            fake.write_text(
                f'#!/bin/sh\ncase "$*" in *script_bytes*) exec {program};; *) exec /usr/bin/bash.real "$@";; esac\n'
            )
            fake.chmod(0o755)
            fake.rename(shell)
            said = served("node", "sync", "fi", code=3, program=(sys.executable, "-c", short))
            assert text in said.err
    finally:
        real.rename(shell)
    served("node", "sync", "fi")


def test_a_node_restored_from_an_old_snapshot_is_healed_and_noted(served, fi):
    served("user", "add", "alice", "bob")
    served("peer", "add", "alice", "--node", "fi")
    fi.sh("mkdir /root/snap; cp -a /etc/wireguard /var/lib/vpnctl /root/snap/")
    served("peer", "revoke", "alice")
    served("peer", "add", "bob", "--node", "fi")
    fi.sh(
        "cp -a /root/snap/wireguard/. /etc/wireguard/; cp -a /root/snap/vpnctl/. /var/lib/vpnctl/; systemctl restart wg-quick@wg0; rm -r /root/snap"
    )
    served("jobs", "run", "sync")
    served("node", "check", "fi")
    keys = {row["public_key"] for row in served("peer", "list", "--json").json}
    assert fi.people() == keys
    assert any(event["verb"] == "node.rolled_back" for event in served("event", "list", "--json").json)


def test_everything_is_imported_before_nodes_are_worked_on_side_by_side(served, tmp_path):
    # Else Python finds, now and then, that two threads wait for each other's import, and fails one of the nodes.
    notes = tmp_path / "imported"
    served.more = {**served.more, "PYTHONPATH": str(IMPORTS), "IMPORTS_NOTED": str(notes)}
    for words in (("peer", "list", "--live"), ("node", "check"), ("jobs", "run", "usage", "health", "sync", "drift")):
        notes.write_text("")
        served(*words, code=None)
        assert notes.read_text().split() == [], words


def test_another_controller_is_noticed_and_nothing_is_written(served, fi, tmp_path):
    import shutil

    served("user", "add", "alice", "bob")
    old = tmp_path / "old"
    shutil.copytree(served.home / "state", old)
    served("peer", "add", "alice", "--node", "fi")
    live = fi.people()
    newer = tmp_path / "newer"
    (served.home / "state").rename(newer)
    shutil.copytree(old, served.home / "state")
    said = served("peer", "add", "bob", "--node", "fi", code=7)
    assert "another controller, or by a newer copy" in said.err
    assert fi.people() == live
    shutil.rmtree(served.home / "state")
    newer.rename(served.home / "state")
    served("node", "check", "fi")


@pytest.mark.parametrize("kind", ["ufw", "docker"])
def test_a_host_firewall_that_drops_forwarded_packets_is_noticed_proven_and_mended(operator, pool, lab, kind):
    node = pool[0]
    if kind == "ufw":
        node.sh(
            "apt-get -qq update; apt-get -qq -y install ufw iptables >/dev/null 2>&1; ufw allow 22/tcp >/dev/null; ufw --force enable >/dev/null"
        )
    else:
        node.sh(
            "apt-get -qq update; apt-get -qq -y install iptables >/dev/null 2>&1; iptables -N DOCKER-USER; iptables -A DOCKER-USER -j RETURN; iptables -P FORWARD DROP; iptables -I FORWARD -j DOCKER-USER"
        )
    try:
        operator(
            "node", "add", "x", f"root@{node.address}", "--host-key-fp", node.fingerprint(), "--identity", str(node.key)
        )
        said = operator("node", "provision", "x", "--forward-rule", "none", code=3)
        assert "drops what is forwarded" in said.err
        assert ("no handshake" if kind == "ufw" else "packets of peers do not leave the node") in said.err
        assert operator("node", "provision", "x", code=6).err.count("--forward-rule none") == 1
        operator("node", "provision", "x", "--yes")
        operator("user", "add", "alice")
        client = lab.client()
        client.connect(operator("peer", "add", "alice").out)
        assert client.ping(FAR_V4, 20)
        if kind == "docker":  # what was added is lost, as by a restart of what owns the chain: a sync puts it back
            node.sh("iptables -F DOCKER-USER; iptables -A DOCKER-USER -j RETURN")
            assert client.silent(FAR_V4)
            assert "load firewall" in operator("node", "check", "x", code=4).out
            operator("node", "sync", "x")
            assert client.ping(FAR_V4, 20)
        client.disconnect()
    finally:
        if kind == "ufw":
            node.sh("ufw --force disable >/dev/null; apt-get -qq -y purge ufw >/dev/null 2>&1", check=False)
        node.sh("iptables -P FORWARD ACCEPT; iptables -F; iptables -X", check=False)


def test_a_drop_in_a_chain_of_the_operators_own_is_named_with_what_to_let_pass(operator, pool):
    node = pool[0]
    node.sh(
        "nft add table inet own; nft 'add chain inet own forward { type filter hook forward priority 0; policy drop; }'"
    )
    try:
        operator(
            "node", "add", "x", f"root@{node.address}", "--host-key-fp", node.fingerprint(), "--identity", str(node.key)
        )
        said = operator("node", "provision", "x", "--yes", code=3)
        assert "inet own forward" in said.err
        assert "let wg0 and UDP port 51820 pass there" in said.err
        node.sh(
            "nft 'add rule inet own forward iifname wg0 accept'; nft 'add rule inet own forward oifname wg0 accept'"
        )
        operator("node", "sync", "x")
    finally:
        node.sh("nft delete table inet own", check=False)
