"""Servers that talk, flood, are busy or lack something."""

from __future__ import annotations

import time

import pytest

from tests.lab.servers import add, way_in, written


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


def test_a_kernel_without_wireguard_is_said_to_be_one(operator, bare):
    bare.sh("mv /usr/bin/wireguard-go /usr/bin/wireguard-gone")
    try:
        assert "this kernel has no WireGuard and there is no wireguard-go" in add(operator, bare, code=3).err
    finally:
        bare.sh("mv /usr/bin/wireguard-gone /usr/bin/wireguard-go")


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
