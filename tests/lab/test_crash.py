"""Crashes on real servers: kill -9 of the program at every step, of the node script at every step, power loss."""

from __future__ import annotations

import contextlib
import subprocess
import sys

import pytest

KILLER = """
import os, signal, sys
from vpnctl.store.engine import Store
from vpnctl.remote.ssh import SshShell
from contextlib import contextmanager
target, count = int(sys.argv.pop(1)), 0
def point():
    global count
    count += 1
    if count == target:
        os.kill(os.getpid(), signal.SIGKILL)
real_write, real_run = Store.write, SshShell.run
@contextmanager
def write(self):
    point()
    with real_write(self) as tx:
        yield tx
        point()
    point()
def run(self, *args, **more):
    point()
    try:
        return real_run(self, *args, **more)
    finally:
        point()
Store.write, SshShell.run = write, run
from vpnctl.cli import run as main
main()
"""
"""Runs the real program, which kills itself with SIGKILL at the n-th border: before, inside and after each writing
transaction, before and after each remote call."""

COMMANDS = {
    "add": ("peer", "add", "{name}", "--device", "second", "--node", "fi"),
    "suspend": ("peer", "suspend", "{name}"),
    "regen": ("peer", "regen", "{name}"),
    "revoke": ("peer", "revoke", "{name}"),
    "migrate": ("user", "migrate", "{name}", "--to", "de"),
}


POINTS = 40


def settled(operator, nodes):
    """After one sync each live key is one that the database wants there, nothing is pending, nothing staged is left."""
    operator("jobs", "run", "sync")
    rows = operator("peer", "list", "--limit", "0", "--json").json
    assert not [row for row in rows if "pending" in row["state"]]
    for name, node in nodes.items():
        wanted = {row["public_key"] for row in rows if row["node"] == name and row["state"].startswith("active")}
        assert node.people() == wanted
        assert node.sh("ls /etc/wireguard").split() == ["wg0.conf"]


def prepared(operator, verb):
    """One person and one device per point, added at once."""
    names = "\n".join(f"{verb}{point}" for point in range(1, POINTS))
    operator("user", "add", "--from", "-", stdin=names)
    operator("peer", "add", "--from", "-", "--node", "fi", stdin=names)


@pytest.mark.parametrize("verb", COMMANDS)
def test_kill_9_at_every_step_loses_nothing(served, verb):
    prepared(served, verb)
    for point in range(1, POINTS):
        name = f"{verb}{point}"
        command = [sys.executable, "-c", KILLER, str(point), *(word.format(name=name) for word in COMMANDS[verb])]
        done = subprocess.run(command, env=served.env, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode == 0:
            break
        assert done.returncode == -9
        settled(served, served.nodes)
        if verb == "migrate":
            served("user", "migrate", name, "--to", "de")
            devices = served("peer", "list", "--user", name, "--node", "de", "--json").json
            assert len(devices) == 1, "run again, one peer"
    assert point > 5
    assert done.returncode == 0, "the loop did not come to an end"
    settled(served, served.nodes)
    served("node", "check")


def test_the_node_script_killed_at_every_step_is_healed(served, fi, monkeypatch):
    """The script on the node dies at its n-th step (as if the machine's OOM killer took it)."""
    breaker = "step() {\n    steps=$((${steps:-0}+1)); [ $steps = POINT ] && kill -9 $$\n"
    source = (
        f"import sys; from vpnctl.remote import node; new = {breaker!r}.replace('POINT', sys.argv.pop(1));"
        "text = node.script(frozenset({'wireguard'})).replace('step() {\\n', new); assert new in text;"
        "node.script = lambda *_, **__: text; from vpnctl.cli import run; run()"
    )
    broke = 0
    served("user", "add", *[f"s{point}" for point in range(1, 20)])
    for point in range(1, 20):
        name = f"s{point}"
        done = served(
            str(point), "peer", "add", name, "--node", "fi", code=None, program=(sys.executable, "-c", source)
        )
        assert done.code in (0, 3)
        settled(served, served.nodes)
        broke += done.code == 3
        if done.code == 0:
            break
    assert broke >= 3
    assert done.code == 0


def test_power_loss_in_the_middle_of_changes_is_healed(served, fi):
    served("user", "add", *[f"u{number}" for number in range(6)])
    for number in range(3):
        adding = served.start("peer", "add", f"u{number}", "--node", "fi")
        with contextlib.suppress(subprocess.TimeoutExpired):
            adding.wait(timeout=0.25 + 0.08 * number)
        fi.power_loss()
        adding.communicate(timeout=60)
        assert adding.returncode in (0, 3)
        fi.up()
        settled(served, served.nodes)


def test_control_c_at_any_time_says_so_and_leaves_work_for_the_next_run(served):
    import signal
    import time

    served("user", "add", *[f"c{number}" for number in range(4)])
    for number, delay in enumerate((0.15, 0.3, 0.4, 0.5)):
        process = served.start("peer", "add", f"c{number}", "--node", "fi")
        time.sleep(delay)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
        assert process.returncode in (0, 130, -signal.SIGINT), err
        assert "Traceback" not in err
        # before the program has come to its own first line, the interpreter ends without a word
        assert process.returncode != 130 or "error: interrupted" in err
        settled(served, served.nodes)


def test_control_c_while_the_node_installs_is_heard_at_once_and_said(operator, pool):
    import signal
    import time

    node = pool[0]
    slow = node.root / "usr/local/bin/apt-get"
    node.sh("dpkg --purge --force-all wireguard-tools >/dev/null 2>&1", check=False)
    slow.parent.mkdir(parents=True, exist_ok=True)
    slow.write_text('#!/bin/sh\nsleep 8\nexec /usr/bin/apt-get "$@"\n')
    slow.chmod(0o755)
    try:
        words = ("node", "add", "x", f"root@{node.address}", "--host-key-fp", node.fingerprint(), "--identity", str(node.key))  # fmt: skip
        process = operator.start(*words, "--provision")
        time.sleep(4)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
        assert process.returncode == 130
        assert "error: interrupted" in err
        assert "vpnctl node sync" in err
    finally:
        slow.unlink()
    time.sleep(10)  # what was begun there comes to its end
    operator("node", "provision", "x")


def test_50_processes_adding_at_once_get_50_addresses_and_no_lock_error(served, fi):
    names = [f"p{number}" for number in range(50)]
    served("user", "add", *names)
    running = [served.start("peer", "add", name, "--node", "fi") for name in names]
    results = [process.communicate(timeout=200) for process in running]
    assert [process.returncode for process in running] == [0] * 50, [
        err for _, err in results if "error" in err or "warning" in err
    ]
    assert not any("lock" in err for _, err in results)
    rows = served("peer", "list", "--json").json
    assert len({row["ipv4"] for row in rows}) == 50
    assert len(fi.people()) == 50
