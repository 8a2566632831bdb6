"""One operator's state with lab nodes, and the installed program that works on it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench import measure
from tests.lab.node import Node

WAN = 0.08


@dataclass
class Site:
    """One operator's state and the way to the nodes."""

    home: Path
    key: Path
    ports: dict[str, int]
    program: str

    @property
    def env(self) -> dict[str, str]:
        return measure.clean_env(self.home)

    def vpnctl(self, *args: str, stdin: str = "") -> float:
        return measure.timed([self.program, "--quiet", "--yes", *args], self.env, stdin)

    def peak(self, *args: str) -> float:
        return measure.peak_mib([self.program, "--quiet", *args], self.env)

    def ssh(self, address: str, command: str, stdin: str = "") -> float:
        where = ["-p", str(self.ports[address]), "root@127.0.0.1"] if self.ports else [f"root@{address}"]
        options = [
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            "UserKnownHostsFile=/dev/null",
            "-o",
            "LogLevel=ERROR",
            "-i",
            str(self.key),
        ]
        return measure.timed(["ssh", *options, *where, command], stdin=stdin)


def site(home: Path, nodes: list[Node], program: str, *, wan: bool = False) -> Site:
    """Make an operator's state with these nodes, provisioned, directly or through the relay."""
    home.mkdir()
    relay = measure.Relay([node.address for node in nodes], WAN) if wan else None
    ports = dict(zip([node.address for node in nodes], relay.ports, strict=True)) if relay else {}
    made = Site(home, nodes[0].key, ports, program)
    made.vpnctl("init")
    for node in nodes:
        target = f"root@127.0.0.1:{ports[node.address]}" if wan else f"root@{node.address}"
        made.vpnctl(
            "node",
            "add",
            node.name,
            target,
            "--host-key-fp",
            node.fingerprint(),
            "--identity",
            str(node.key),
            "--public-host",
            node.address,
        )
    for node in nodes:
        made.vpnctl("endpoint", "add", node.name, "wireguard")
    return made


def one_key(nodes: list[Node]) -> None:
    """Let the first node's key in on all of them, as one operator has it."""
    shared = nodes[0].key.with_suffix(".pub").read_text()
    for node in nodes:
        (node.root / "root/.ssh/authorized_keys").write_text(shared)
        node.key = nodes[0].key
