"""One laboratory for all lab tests: nodes are booted once, services are fresh per test module."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import shutil
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.conftest import Run, cannot
from tests.lab import host
from tests.lab.host import run as on_host
from tests.lab.network import Lab
from tests.lab.node import Node

PROGRAM = (sys.executable, "-m", "vpnctl")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(item.path).parent == Path(__file__).parent:
            item.add_marker(pytest.mark.lab)


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    reason = host.why_not()
    if reason:
        cannot("lab tests", reason)
    with Lab() as running:
        yield running


@dataclass
class Operator:
    """A person with a shell, a state of their own, and the real program."""

    home: Path
    nodes: dict[str, Node] = field(default_factory=dict)
    more: dict[str, str] = field(default_factory=dict)
    """Further settings, as variables."""

    @property
    def env(self) -> dict[str, str]:
        state = {
            "VPNCTL_STATE_DIR": str(self.home / "state"),
            "VPNCTL_KEY_FILE": str(self.home / "vault.key"),
            "VPNCTL_DATABASE_URL": f"sqlite:///{self.home / 'state/vpnctl.db'}",  # whatever /etc/vpnctl says here
        }
        return {**os.environ, **state, **self.more, "HOME": str(self.home)}

    def __call__(self, *args: str, stdin: str = "", code: int | None = 0, program: tuple[str, ...] = PROGRAM) -> Run:
        """Run the real program in a process of its own; the exit code must be `code` unless that is None."""
        done = subprocess.run(
            [*program, *args], env=self.env, input=stdin, capture_output=True, text=True, check=False, timeout=240
        )
        run = Run(done.returncode, done.stdout, done.stderr)
        assert code is None or run.code == code, f"vpnctl {' '.join(args)}: {run.code}\n{run.out}\n{run.err}"
        assert "Traceback" not in run.err, run.err
        return run

    def on_terminal(self, *args: str) -> str:
        """Run the real program on a terminal of its own, 80 columns wide; it must succeed. Return all that it showed."""
        ours, its = pty.openpty()
        fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        running = subprocess.Popen(
            [*PROGRAM, *args], env={**self.env, "TERM": "xterm"}, stdin=its, stdout=its, stderr=its
        )
        os.close(its)
        shown = b""
        with contextlib.suppress(OSError):  # the other end closes with the program
            while part := os.read(ours, 65536):
                shown += part
        os.close(ours)
        assert running.wait(240) == 0, shown
        return shown.decode(errors="replace")

    def start(self, *args: str) -> subprocess.Popen[str]:
        """Start the real program and do not wait."""
        return subprocess.Popen(
            [*PROGRAM, *args],
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def take(self, name: str, node: Node, *more: str) -> Node:
        """Add and provision a booted server."""
        self(
            "node",
            "add",
            name,
            f"root@{node.address}",
            "--host-key-fp",
            node.fingerprint(),
            "--identity",
            str(node.key),
            "--provision",
            "--yes",
            *more,
        )
        self.nodes[name] = node
        return node


OURS = (
    "etc/wireguard/*", "etc/amnezia", "etc/vpnctl", "var/lib/vpnctl", "etc/sysctl.d/60-vpnctl.conf", "etc/systemd/system/vpnctl-*",
    "etc/systemd/system/multi-user.target.wants/*wg-quick@*", "etc/systemd/system/multi-user.target.wants/vpnctl-*",
    "etc/systemd/system/timers.target.wants/vpnctl-*", "etc/ssh/sshd_config.d/00-lab.conf",
    "etc/sudoers.d/lab",
    "home/debian/.ssh",
    "opt/site",
    "usr/local/bin/vpnctl",
    "usr/local/x-ui",
    "etc/x-ui",
    "etc/systemd/system/x-ui.service",
    "etc/systemd/system/multi-user.target.wants/x-ui.service",
)  # fmt: skip


def wipe(node: Node) -> None:
    """Make a server bare again (packages stay), so that tests can share booted ones: power off, remove, boot."""
    node.power_loss()
    for pattern in OURS:
        for path in node.root.glob(pattern):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    keys = node.root / "root/.ssh/authorized_keys"
    keys.write_text("\n".join(line for line in keys.read_text().splitlines() if not line.endswith(" vpnctl")) + "\n")
    node.up()


@pytest.fixture(scope="session")
def booted(lab: Lab) -> list[Node]:
    return lab.fleet(2)


@pytest.fixture
def pool(booted: list[Node]) -> Iterator[list[Node]]:
    """Two booted servers that tests share; each test finds them bare."""
    yield booted
    for node in booted:
        wipe(node)


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    """An operator with a fresh state."""
    person = Operator(tmp_path)
    person("init", "--yes")
    return person


@pytest.fixture
def served(operator: Operator, pool: list[Node]) -> Operator:
    """An operator with two provisioned nodes, `fi` and `de`."""
    for name, node in zip(("fi", "de"), pool, strict=True):
        operator.take(name, node)
    return operator


@pytest.fixture
def fi(served: Operator) -> Node:
    return served.nodes["fi"]


@pytest.fixture
def de(served: Operator) -> Node:
    return served.nodes["de"]


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
