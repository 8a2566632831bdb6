"""What an operator would use instead, doing the same no-op: a digest of one file on every node, and the service up."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from bench import measure
from tests.lab.node import Node

_PYINFRA = """
from pyinfra.operations import files, systemd
files.put(src="{file}", dest="/etc/bench.conf", mode="600")
systemd.service(service="wg-quick@wg0.service", running=True, enabled=True)
"""

_PLAYBOOK = """
- hosts: all
  gather_facts: {facts}
  tasks:
    - copy: {{src: "{file}", dest: /etc/bench.conf, mode: "0600"}}
    - systemd: {{name: wg-quick@wg0.service, state: started, enabled: true}}
"""


class Rivals:
    """Installed into a virtual environment of the bench, by package name; one that cannot be had is left out and said so."""

    goals = {
        "pyinfra": "<= 0.5",
        "ansible tuned": "<= 0.067",
        "ansible as installed": "<= 0.033",
        "parallel ssh": "<= 1",
    }

    def __init__(self, home: Path) -> None:
        self._home = home
        self._bin = home / "rivals/bin"
        self.missing: list[str] = []
        subprocess.run([sys.executable, "-m", "venv", str(home / "rivals")], check=True)
        for package in ("pyinfra", "ansible-core"):
            done = subprocess.run(
                [self._bin / "pip", "install", "-q", package], capture_output=True, text=True, check=False
            )
            if done.returncode:
                self.missing.append(f"{package} could not be installed and is left out")
        (home / "same.conf").write_text("x" * 700 + "\n")

    def noop(self, nodes: Sequence[Node], ports: dict[str, int], key: Path) -> dict[str, Callable[[], float]]:
        """Return the contenders for nodes that already are as they should be."""
        hosts = [(("127.0.0.1", ports[node.address]) if ports else (node.address, 22)) for node in nodes]
        for node in nodes:
            target = node.root / "etc/bench.conf"
            target.write_text("x" * 700 + "\n")
            target.chmod(0o600)
        found: dict[str, Callable[[], float]] = {"parallel ssh": lambda: self._ssh(hosts, key)}
        if (self._bin / "pyinfra").exists():
            found["pyinfra"] = lambda: self._pyinfra(hosts, key)
        if (self._bin / "ansible-playbook").exists() and any(
            "bin/python3" in str(path) for path in (nodes[0].root / "usr/bin").glob("python3*")
        ):
            found["ansible tuned"] = lambda: self._ansible(hosts, key, tuned=True)
        return found

    def _ssh(self, hosts: Sequence[tuple[str, int]], key: Path) -> float:
        options = f"-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -i {key}"
        lines = "\n".join(f"{host} {port}" for host, port in hosts)
        command = f'ssh {options} -p "$2" root@"$1" \'sha256sum /etc/bench.conf; systemctl is-active wg-quick@wg0\''
        return measure.timed(["xargs", "-P", str(len(hosts)), "-L", "1", "sh", "-c", command, "sh"], stdin=lines)

    def _pyinfra(self, hosts: Sequence[tuple[str, int]], key: Path) -> float:
        inventory, deploy = self._home / "inventory.py", self._home / "deploy.py"
        entries = [
            (
                f"{host}-{port}",
                {
                    "ssh_hostname": host,
                    "ssh_port": port,
                    "ssh_user": "root",
                    "ssh_key": str(key),
                    "ssh_strict_host_key_checking": "no",
                },
            )
            for host, port in hosts
        ]
        inventory.write_text(f"nodes = {entries!r}\n")
        deploy.write_text(_PYINFRA.format(file=self._home / "same.conf"))
        return measure.timed(
            [str(self._bin / "pyinfra"), "-y", "--parallel", "50", str(inventory), str(deploy)], self._env()
        )

    def _ansible(self, hosts: Sequence[tuple[str, int]], key: Path, *, tuned: bool) -> float:
        inventory, play = self._home / "hosts.ini", self._home / "play.yml"
        inventory.write_text(
            "\n".join(
                f"n{number} ansible_host={host} ansible_port={port} ansible_user=root ansible_ssh_private_key_file={key}"
                for number, (host, port) in enumerate(hosts)
            )
        )
        play.write_text(_PLAYBOOK.format(file=self._home / "same.conf", facts="no" if tuned else "yes"))
        env = self._env() | ({"ANSIBLE_FORKS": "50", "ANSIBLE_PIPELINING": "1"} if tuned else {})
        return measure.timed([str(self._bin / "ansible-playbook"), "-i", str(inventory), str(play)], env)

    def _env(self) -> dict[str, str]:
        return {
            **os.environ,
            "HOME": str(self._home),
            "ANSIBLE_HOST_KEY_CHECKING": "False",
            "PATH": f"{self._bin}:{os.environ['PATH']}",
        }
