"""Getting in: first logins, pinned host keys, sudo, a node behind another, the machine itself."""

from __future__ import annotations

import shutil
import subprocess
import sysconfig
import time
from pathlib import Path

import pytest

from tests.lab.host import run
from tests.lab.network import FAR_V4
from vpnctl.jobs import NAMES

SUDO_USER = "set -e; id debian >/dev/null 2>&1 || useradd -m -s /bin/bash debian; echo debian:secret-word | chpasswd"
GRANT = "echo 'debian ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/lab; chmod 440 /etc/sudoers.d/lab"


@pytest.fixture
def bare(pool):
    return pool[0]


def fp(node):
    return ("--host-key-fp", node.fingerprint())


def test_a_wrong_fingerprint_stops_before_anything_is_sent(operator, bare):
    wrong = "SHA256:" + "A" * 43
    said = operator(
        "node", "add", "x", f"root@{bare.address}", "--host-key-fp", wrong, "--identity", str(bare.key), code=7
    )
    assert bare.fingerprint() in said.err
    assert operator("node", "list", "--json").json == []


def test_without_a_terminal_nobody_vouches_for_an_unknown_host_key(operator, bare):
    said = operator("node", "add", "x", f"root@{bare.address}", "--identity", str(bare.key), code=7)
    assert f"--host-key-fp {bare.fingerprint()}" in said.err


def test_a_known_hosts_file_vouches_hashed_or_not(operator, bare, tmp_path):
    public = (bare.home / "upper/etc/ssh/ssh_host_ed25519_key.pub").read_text().split()
    known = tmp_path / "known_hosts"
    known.write_text(f"{bare.address} {public[0]} {public[1]}\n")
    run("ssh-keygen", "-H", "-f", str(known))
    operator("node", "add", "x", f"root@{bare.address}", "--known-hosts", str(known), "--identity", str(bare.key))
    known.write_text("other.example.org ssh-ed25519 AAAA\n")
    operator(
        "node", "add", "y", f"root@{bare.address}", "--known-hosts", str(known), "--identity", str(bare.key), code=7
    )


def test_a_password_is_used_once_and_our_key_from_then_on(operator, bare):
    bare.sh(
        "echo root:secret-word | chpasswd; echo 'PasswordAuthentication yes' > /etc/ssh/sshd_config.d/00-lab.conf; systemctl reload ssh"
    )
    said = operator("node", "add", "x", f"root@{bare.address}", *fp(bare), "--password-stdin", stdin="wrong\n", code=10)
    assert "password is not accepted" in said.err
    operator("node", "add", "x", f"root@{bare.address}", *fp(bare), "--password-stdin", stdin="secret-word\n")
    bare.sh("echo 'PasswordAuthentication no' > /etc/ssh/sshd_config.d/00-lab.conf; systemctl reload ssh")
    operator("node", "provision", "x")


def test_an_agent_opens_the_first_login(operator, bare, tmp_path, monkeypatch):
    agent = run("ssh-agent", "-s", "-a", str(tmp_path / "agent"))
    pid = agent.split("SSH_AGENT_PID=")[1].split(";")[0]
    try:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
        subprocess.run(["ssh-add", "-q", str(bare.key)], check=True)
        operator("node", "add", "x", f"root@{bare.address}", *fp(bare), "--agent")
    finally:
        subprocess.run(["kill", pid], check=True)


def test_our_key_is_installed_once_however_often_it_is_added(operator, bare):
    operator("node", "add", "x", f"root@{bare.address}", *fp(bare), "--identity", str(bare.key))
    operator("node", "add", "y", f"root@{bare.address}", *fp(bare), "--identity", str(bare.key))
    assert (bare.root / "root/.ssh/authorized_keys").read_text().count(" vpnctl") == 1


def test_without_means_the_answer_says_which_line_to_install(operator, bare):
    said = operator("node", "add", "x", f"root@{bare.address}", *fp(bare), code=10)
    assert "vpnctl node key" in said.err
    line = operator("node", "key").out
    with (bare.root / "root/.ssh/authorized_keys").open("a") as keys:
        keys.write(line)
    operator("node", "add", "x", f"root@{bare.address}", *fp(bare))


def test_a_sudo_user_serves_and_one_without_sudo_is_told_what_to_do(operator, bare):
    bare.sh(
        SUDO_USER
        + "; mkdir -p ~debian/.ssh; cp ~/.ssh/authorized_keys ~debian/.ssh/; chown -R debian: ~debian/.ssh; rm -f /etc/sudoers.d/lab"
    )
    said = operator("node", "add", "x", f"debian@{bare.address}", *fp(bare), "--identity", str(bare.key), code=10)
    assert "NOPASSWD" in said.err
    bare.sh(GRANT)
    operator("node", "add", "x", f"debian@{bare.address}", *fp(bare), "--identity", str(bare.key), "--provision")
    operator("user", "add", "alice")
    operator("peer", "add", "alice")
    assert bare.sh("wg show wg0 peers").strip()
    assert bare.sh("stat -c '%U %a' /etc/wireguard/wg0.conf").strip() == "root 600"
    operator("node", "retire", "x", "--revoke-peers", "--yes")
    assert "vpnctl" not in (bare.root / "home/debian/.ssh/authorized_keys").read_text()


def test_a_node_behind_another_is_reached_through_it(operator, pool, lab):
    near, far = pool
    operator.take("near", near)
    far.sh("apt-get -qq update; apt-get -qq -y install nftables >/dev/null 2>&1")
    far.sh(
        f"nft add table inet wall; nft add chain inet wall in '{{ type filter hook input priority 0; }}'; nft add rule inet wall in tcp dport 22 ip saddr != {near.address} drop"
    )
    said = operator("node", "add", "x", f"root@{far.address}", *fp(far), "--identity", str(far.key), code=10)
    assert "no answer within 10 s" in said.err
    operator(
        "node",
        "add",
        "deep",
        f"root@{far.address}",
        *fp(far),
        "--identity",
        str(far.key),
        "--jump",
        "near",
        "--provision",
    )
    operator("user", "add", "alice")
    operator("peer", "add", "alice", "--node", "deep")
    assert operator("node", "retire", "near", "--yes", code=5).err.startswith(
        "error: node deep is reached through near"
    )


def test_a_changed_host_key_stops_with_both_fingerprints_and_trust_is_the_only_way_on(served, fi):
    old = fi.fingerprint()
    key = "/etc/ssh/ssh_host_ed25519_key"
    fi.sh(
        f"cp {key} /root/k; cp {key}.pub /root/k.pub; rm {key} {key}.pub; ssh-keygen -q -t ed25519 -N '' -f {key}; systemctl restart ssh"
    )
    try:
        for command in (("node", "check", "fi"), ("node", "sync", "fi"), ("peer", "list", "--live", "--node", "fi")):
            said = served(*command, code=7)
            assert old in said.err
            assert fi.fingerprint() in said.err
        served("node", "trust", "fi", "--host-key-fp", old, code=7)
        served("node", "trust", "fi", "--host-key-fp", fi.fingerprint())
        served("node", "sync", "fi")
    finally:
        fi.sh(f"mv /root/k {key}; mv /root/k.pub {key}.pub; systemctl restart ssh")


@pytest.fixture
def inside(pool):
    """vpnctl installed and run inside a lab node, by the node's own Python."""
    node = pool[0]
    site = node.root / "opt/site"
    left_out = shutil.ignore_patterns("mypy*", "ruff*", "pip*", "hypothesis*", "*.dist-info", "__pycache__")
    shutil.copytree(sysconfig.get_paths()["purelib"], site, ignore=left_out)
    shutil.copytree(Path(__file__).parents[2] / "vpnctl", site / "vpnctl", dirs_exist_ok=True)
    node.sh("apt-get -qq update && apt-get -qq -y --no-install-recommends install python3 >/dev/null 2>&1")

    def vpnctl(command):
        return node.sh(f"cd / && export HOME=/root PYTHONPATH=/opt/site && /usr/bin/python3 -m vpnctl {command}")

    return vpnctl


def test_the_machine_itself_is_a_node_without_ssh(inside, pool, lab):
    inside("init --yes")
    inside(f"node add here --local --public-host {pool[0].address} --provision")
    inside("user add alice")
    client = lab.client()
    client.connect(inside("peer add alice"))
    assert client.ping(FAR_V4, 20)
    inside("peer revoke alice")
    assert client.silent(FAR_V4)
    client.disconnect()


def test_timers_written_by_the_tool_are_valid_and_heal_what_is_pending(inside, pool):
    node = pool[0]
    inside("init --yes")
    inside(f"node add here --local --public-host {node.address} --provision")
    launcher = '#!/bin/sh\nPYTHONPATH=/opt/site exec /usr/bin/python3 -c \'import sys; sys.argv[0]="/usr/local/bin/vpnctl"; from vpnctl.cli import run; run()\' "$@"\n'
    (node.root / "usr/local/bin/vpnctl").write_text(launcher)
    node.sh("chmod 755 /usr/local/bin/vpnctl; /usr/local/bin/vpnctl jobs install --yes")
    try:
        _check_timers(node)
    finally:
        node.sh(
            "systemctl disable -q --now 'vpnctl-*.timer'; systemctl stop 'vpnctl-*.service';"
            " rm -rf /etc/systemd/system/vpnctl-*; systemctl daemon-reload; rm /usr/local/bin/vpnctl",
            check=False,
        )


def _check_timers(node):
    node.sh("systemd-analyze verify /etc/systemd/system/vpnctl-*.service /etc/systemd/system/vpnctl-*.timer")
    listed = node.sh("systemctl list-timers --no-pager 'vpnctl-*'")
    assert all(f"vpnctl-{name}.timer" in listed for name in NAMES)
    node.sh("systemctl stop 'vpnctl-*.timer'")
    node.sh("v=/usr/local/bin/vpnctl; $v user add alice; ip link del wg0; $v peer add alice", check=False)
    assert "pending" in node.sh("/usr/local/bin/vpnctl peer list")
    node.sh("systemctl start vpnctl-sync.service")
    assert "active" in node.sh("/usr/local/bin/vpnctl peer list")
    for name in NAMES:
        node.sh(f"systemctl start vpnctl-{name}.service")
        assert node.sh(f"systemctl show -P Result vpnctl-{name}.service").strip() == "success"
    log = node.sh("journalctl -q -o cat -u vpnctl-health.service")
    assert '"event": "job.done"' in log
    node.sh("mv /etc/vpnctl/vault.key /etc/vpnctl/vault.away")
    node.sh("systemctl start vpnctl-sync.service", check=False)
    end = time.monotonic() + 20
    while "job_failed" not in (said := node.sh("/usr/local/bin/vpnctl notice list")) and time.monotonic() < end:
        time.sleep(0.3)
    assert "The job sync failed" in said, "OnFailure told the admins"
    node.sh("mv /etc/vpnctl/vault.away /etc/vpnctl/vault.key; systemctl start vpnctl-sync.service")
