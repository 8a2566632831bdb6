"""What the field broke, rebuilt on booted servers: each row with its right value (proof by packets, first login, apt)."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.host import run as on_host
from tests.lab.network import FAR_V4, FAR_V6

IPTABLES = "apt-get -qq update; apt-get -qq -y install iptables >/dev/null 2>&1"


@pytest.fixture
def bare(pool):
    """A bare server that gets its network back as it was."""
    node = pool[0]
    yield node
    node.sh("iptables -P FORWARD ACCEPT; iptables -F; iptables -X; ip link del other", check=False)
    inside = ("ip", "netns", "exec", node.namespace)
    on_host(*inside, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=0", "net.ipv6.conf.default.disable_ipv6=0")
    on_host("ip", "-n", node.namespace, "link", "set", "eth0", "mtu", "1500")
    on_host("ip", "-n", node.namespace, "addr", "replace", f"{node.address}/16", "dev", "eth0")
    node.plug()


def way_in(node, *more):
    return ("node", "add", "x", f"root@{node.address}", "--host-key-fp", node.fingerprint(), "--identity", str(node.key), *more)  # fmt: skip


def add(operator, node, *more, code=0):
    return operator(*way_in(node, "--provision", *more), code=code)


@contextlib.contextmanager
def written(node, path: str, text: str, mode: int = 0o644) -> Iterator[Path]:
    """A file on the node while a test needs it; what was there comes back."""
    target = node.root / path
    before = target.read_text() if target.exists() else None
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)
    target.chmod(mode)
    try:
        yield target
    finally:
        target.unlink() if before is None else target.write_text(before)


# --- B: agrees means that packets pass ---


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


# --- A: whatever a node says before, beside or instead of an answer ---


def test_a_login_shell_that_talks_changes_nothing_and_gives_nothing_away(operator, bare):
    with written(bare, "root/.bashrc", "echo hello; echo again >&2\n"):
        add(operator, bare)
        operator("user", "add", "alice")
        operator("peer", "add", "alice")
        operator("peer", "suspend", "alice")
        operator("node", "check", "x")


def test_a_dead_line_in_the_preload_list_breaks_nothing_and_is_named(operator, bare):
    with written(bare, "etc/ld.so.preload", "/opt/gone/lib.so\n"):
        add(operator, bare)
        assert "stale preload /opt/gone/lib.so" in operator("node", "check", "x", code=4).out
    operator("node", "check", "x")


def test_what_apt_says_is_shown_though_it_is_not_utf8(operator, bare):
    fake = "#!/bin/sh\nprintf 'E: caf\\351 is closed\\n' >&2; exit 100\n"
    bare.sh("dpkg --purge --force-all wireguard-tools >/dev/null 2>&1", check=False)
    with written(bare, "usr/local/bin/apt-get", fake, 0o755):
        said = add(operator, bare, code=3)
    assert "is closed" in said.err
    assert "makes no sense" not in said.err
    operator("node", "provision", "x")


# --- C: a server that is merely busy ---


@pytest.mark.parametrize(("lock", "seconds"), [("dpkg/lock-frontend", 8), ("apt/lists/lock", 6)])
def test_apt_in_use_is_waited_for_and_that_is_shown(operator, bare, lock, seconds):
    bare.sh("dpkg --purge --force-all wireguard-tools >/dev/null 2>&1", check=False)
    hold = f"import fcntl,time; f=open('/var/lib/{lock}','w'); fcntl.lockf(f, fcntl.LOCK_EX); print('held'); time.sleep({seconds})"
    bare.sh(f"apt-get -qq update; apt-get -qq -y install python3-minimal >/dev/null 2>&1; setsid python3 -c \"{hold}\" >/run/held 2>&1 &")  # fmt: skip
    while not bare.sh(f"fuser /var/lib/{lock} 2>/dev/null || ls -l /proc/[0-9]*/fd 2>/dev/null | grep -c {lock}", check=False).strip("0\n "):  # fmt: skip
        time.sleep(0.1)
    assert "apt is in use there, waiting" in operator.on_terminal(*way_in(bare, "--provision"))


def test_a_dead_repository_of_somebody_else_does_not_keep_ours_from_working(operator, bare):
    bare.sh("dpkg --purge --force-all wireguard-tools >/dev/null 2>&1", check=False)
    with written(bare, "etc/apt/sources.list.d/other.list", "deb [trusted=yes] file:/srv/other stable main\n"):
        add(operator, bare)


def test_a_step_that_floods_is_cut_off_and_grows_nothing_on_the_node(operator, bare):
    add(operator, bare)
    operator("user", "add", "alice")
    flood = """#!/bin/sh
[ "$1" = addconf ] || exec /usr/bin/wg "$@"
trap '' PIPE
yes 'a line of a flood that never ends' 2>/dev/null | head -c 300000000
grep -h VmHWM /proc/[0-9]*/status | sort -k2 -n | tail -1 >/run/peak
exit 1
"""
    with written(bare, "usr/local/bin/wg", flood, 0o755):
        said = operator("peer", "add", "alice", code=3)
    peak = int(bare.sh("cat /run/peak").split()[1])
    assert peak < 100_000, "KiB of the largest process there"
    assert len(said.err) < 2000
    operator("node", "sync", "x")


# --- D: the reason first ---


def test_a_kernel_without_wireguard_is_said_to_be_one(operator, bare):
    bare.sh("mv /usr/bin/wireguard-go /usr/bin/wireguard-gone")
    try:
        assert "this kernel has no WireGuard and there is no wireguard-go" in add(operator, bare, code=3).err
    finally:
        bare.sh("mv /usr/bin/wireguard-gone /usr/bin/wireguard-go")


# --- E, F: the first login ---


def test_a_forced_command_is_reported_in_the_servers_own_words(operator, bare):
    path = "root/.ssh/authorized_keys"
    line = (bare.root / path).read_text().splitlines()[0]
    forced = f"command=\"echo 'Please login as the user debian rather than root.'; exit 142\" {line}\n"
    with written(bare, path, forced, 0o600):
        said = operator(*way_in(bare), code=10)
    assert "Please login as the user debian" in said.err
    assert "vpnctl node add NAME USER@HOST" in said.err


@contextlib.contextmanager
def sshd(node, text: str) -> Iterator[None]:
    with written(node, "etc/ssh/sshd_config.d/00-lab.conf", text):
        node.sh("systemctl restart ssh")
        yield
    node.sh("systemctl restart ssh")


def test_a_server_that_wants_a_second_factor_is_said_to_want_one(operator, bare):
    with sshd(bare, "AuthenticationMethods publickey,password\n"):
        began = time.monotonic()
        said = operator(*way_in(bare), code=10)
    assert "wants a second factor: password" in said.err
    assert time.monotonic() - began < 8


def test_a_server_that_takes_no_passwords_says_what_it_takes(operator, bare):
    with sshd(bare, "PasswordAuthentication no\nKbdInteractiveAuthentication no\n"):
        said = operator("node", "add", "x", f"root@{bare.address}", "--host-key-fp", bare.fingerprint(), "--password-stdin", code=10, stdin="secret\r\n")  # fmt: skip
    assert "takes no passwords; it takes: publickey" in said.err


def test_a_password_from_a_file_with_windows_line_ends_is_taken(operator, bare):
    bare.sh("echo root:correcthorse | chpasswd")
    with sshd(bare, "PasswordAuthentication yes\n"):
        operator("node", "add", "x", f"root@{bare.address}", "--host-key-fp", bare.fingerprint(), "--password-stdin", stdin="correcthorse\r\n")  # fmt: skip


def test_a_sudoer_for_some_commands_only_is_found_out_before_anything_is_saved(operator, bare):
    bare.sh("id debian >/dev/null 2>&1 || useradd -m -s /bin/bash debian; install -d -o debian -m 700 /home/debian/.ssh; install -o debian -m 600 /root/.ssh/authorized_keys /home/debian/.ssh/")  # fmt: skip
    with written(bare, "etc/sudoers.d/lab", "debian ALL=(ALL) NOPASSWD: /usr/bin/id, /usr/bin/apt-get\n", 0o440):
        said = operator("node", "add", "x", f"debian@{bare.address}", "--host-key-fp", bare.fingerprint(), "--identity", str(bare.key), code=10)  # fmt: skip
    assert "`sudo -n bash` does not work" in said.err
    assert operator("node", "list", "--json").json == []


def test_a_login_with_a_dot_gets_in(operator, bare):
    bare.sh("id john.doe >/dev/null 2>&1 || useradd --badname -m -s /bin/bash john.doe; install -d -o john.doe -m 700 /home/john.doe/.ssh; install -o john.doe -m 600 /root/.ssh/authorized_keys /home/john.doe/.ssh/")  # fmt: skip
    with written(bare, "etc/sudoers.d/lab", "john.doe ALL=(ALL) NOPASSWD: ALL\n", 0o440):
        operator("node", "add", "x", f"john.doe@{bare.address}", "--host-key-fp", bare.fingerprint(), "--identity", str(bare.key))  # fmt: skip


def test_a_slow_login_script_costs_one_or_two_sessions(operator, bare):
    with written(bare, "root/.bashrc", "sleep 2; echo $$ >>/root/sessions\n"):
        operator(*way_in(bare))
    sessions = (bare.root / "root/sessions").read_text().split()
    (bare.root / "root/sessions").unlink()
    assert len(sessions) <= 2


@pytest.mark.parametrize("how", ["fingerprint", "known_hosts"])
def test_a_host_key_of_another_type_that_was_vouched_for_is_asked_for(operator, bare, how, tmp_path):
    bare.sh("ssh-keygen -q -t ecdsa -N '' -f /etc/ssh/ssh_host_ecdsa_key <<<y >/dev/null 2>&1; systemctl restart ssh", check=False)  # fmt: skip
    public = (bare.root / "etc/ssh/ssh_host_ecdsa_key.pub").read_text()
    known = tmp_path / "known_hosts"
    known.write_text(f"{bare.address} {public}")
    print_ = on_host("ssh-keygen", "-lf", str(bare.root / "etc/ssh/ssh_host_ecdsa_key.pub")).split()[1]
    vouch = ("--host-key-fp", print_.removeprefix("SHA256:")) if how == "fingerprint" else ("--known-hosts", str(known))
    operator("node", "add", "x", f"root@{bare.address}", *vouch, "--identity", str(bare.key))
    operator("node", "provision", "x")
    (bare.root / "etc/ssh/ssh_host_ecdsa_key").unlink()
    (bare.root / "etc/ssh/ssh_host_ecdsa_key.pub").unlink()
    bare.sh("systemctl restart ssh")


# --- F4 of attack.md: nobody is kept out by somebody's slow line ---


def test_an_upload_that_stands_still_keeps_nobody_from_cutting(operator, bare):
    add(operator, bare)
    operator("user", "add", "alice", "bob")
    operator("peer", "add", "alice")
    from vpnctl.remote import node as node_script

    body = node_script.script().encode()
    plan = f"expect\t{bare.sh('cat /var/lib/vpnctl/token').strip()}\nfile\t/etc/wireguard/wg0.conf\t600\t{'0' * 64}\t1000000\ngo\n".encode()
    head = f"{len(body)}\n{len(plan)}\nabcdef0123456789\n".encode()
    import subprocess

    leader = str(bare.leader())
    stuck = subprocess.Popen(
        ["nsenter", "-t", leader, "--all", "--", "bash", "-c", node_script.LOADER],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        stuck.stdin.write(head + body + plan + b"half a file")
        stuck.stdin.flush()
        time.sleep(0.5)
        began = time.monotonic()
        operator("peer", "revoke", "alice")
        assert time.monotonic() - began < 10
        assert bare.people() == set()
    finally:
        stuck.kill()
        stuck.wait()


@contextlib.contextmanager
def dead_resolver(node) -> Iterator[None]:
    """Names are asked for at a server from which nothing ever comes back, not even that it is not there."""
    text = "nameserver 192.0.2.53\noptions timeout:6 attempts:2\n"
    with written(node, "etc/resolv.conf", text):
        node.sh("ip route add 192.0.2.53 dev eth0; ip neigh replace 192.0.2.53 lladdr 02:00:00:00:00:01 dev eth0")
        yield
        node.sh("ip route del 192.0.2.53 dev eth0; ip neigh del 192.0.2.53 dev eth0", check=False)


def test_a_slow_login_is_said_to_be_slow_and_can_be_waited_for(operator, bare):
    with sshd(bare, "UseDNS yes\n"), dead_resolver(bare):
        said = operator(*way_in(bare), code=10)
        assert "did not come to an end within 10 s" in said.err
        assert "VPNCTL_LOGIN_SECONDS=60" in said.err
        operator.more["VPNCTL_LOGIN_SECONDS"] = "60"
        operator(*way_in(bare))


def test_a_slow_sudo_is_waited_for(operator, bare):
    bare.sh("id debian >/dev/null 2>&1 || useradd -m -s /bin/bash debian; install -d -o debian -m 700 /home/debian/.ssh; install -o debian -m 600 /root/.ssh/authorized_keys /home/debian/.ssh/")  # fmt: skip
    sudoers = written(bare, "etc/sudoers.d/lab", "debian ALL=(ALL) NOPASSWD: ALL\n", 0o440)
    with sudoers, written(bare, "etc/hosts", "127.0.0.1 localhost\n"), dead_resolver(bare):
        operator("node", "add", "x", f"debian@{bare.address}", "--host-key-fp", bare.fingerprint(), "--identity", str(bare.key))  # fmt: skip
