"""One lab node: a real Debian booted by systemd-nspawn on an overlay of the base image."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lab.host import run

if TYPE_CHECKING:
    from tests.lab.network import Lab

REBOOT = 133
SHUTDOWN = 60
"""Seconds. It takes one; once, under load, a Debian 13 had not heard of it after a minute, so it is told again."""


class Node:
    """A bare server with sshd and nothing of ours on it."""

    def __init__(self, lab: Lab, number: int, hostname: str = "", base: Path | None = None) -> None:
        self.lab = lab
        self.base = base or lab.base
        self.number = number
        self.name = hostname or f"node{number}"
        self.namespace = f"{lab.name}-n{number}"
        self.address = f"{lab.prefix}.1.{number}"
        self.address6 = f"{lab.prefix6}::1:{number}"
        self.home = lab.home / self.name
        self.root = self.home / "root"
        self.key = self.home / "operator_key"
        self._spawn: subprocess.Popen[bytes] | None = None

    def up(self) -> None:
        self.start()
        self.wait()

    def start(self) -> None:
        """Create what is missing and begin to boot."""
        if not self.root.exists():
            self._create()
        elif not os.path.ismount(self.root):
            self._mount()
        self._boot()

    def wait(self, seconds: float = 30) -> None:
        """Return once sshd answers with its banner."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with contextlib.suppress(OSError), socket.create_connection((self.address, 22), timeout=1) as probe:
                if probe.recv(4) == b"SSH-":
                    return
            if self._spawn is not None and self._spawn.poll() == REBOOT:
                self._boot()
            time.sleep(0.05)
        raise RuntimeError(f"{self.name} did not come up; see {self.home / 'console.log'}")

    def _create(self) -> None:
        upper = self.home / "upper"
        for folder in (upper / "root/.ssh", upper / "etc/ssh", self.home / "work", self.root):
            folder.mkdir(parents=True)
        (upper / "root").chmod(0o700)
        (upper / "root/.ssh").chmod(0o700)
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab operator", "-f", str(self.key))
        authorized = upper / "root/.ssh/authorized_keys"
        authorized.write_text((self.home / "operator_key.pub").read_text())
        authorized.chmod(0o600)
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(upper / "etc/ssh/ssh_host_ed25519_key"))
        (upper / "etc/hostname").write_text(self.name + "\n")
        (upper / "etc/hosts").write_text(f"127.0.0.1 localhost {self.name}\n")
        self._mount()
        self.lab.join(self.namespace, f"{self.address}/16", f"{self.address6}/64")
        run("ip", "-n", self.namespace, "route", "add", "default", "via", f"{self.lab.prefix}.0.1")
        run("ip", "-n", self.namespace, "-6", "route", "add", "default", "via", f"{self.lab.prefix6}::1")

    def _mount(self) -> None:
        layers = f"lowerdir={self.base},upperdir={self.home / 'upper'},workdir={self.home / 'work'}"
        run("mount", "-t", "overlay", "overlay", "-o", layers, str(self.root))

    def _forget(self) -> None:
        """The namespace outlives a power cut; what a machine forgets then is forgotten here too."""
        inside = ("ip", "netns", "exec", self.namespace)
        run(*inside, "nft", "flush", "ruleset", check=False)
        run(*inside, "sysctl", "-qw", "net.ipv4.ip_forward=0", "net.ipv6.conf.all.forwarding=0", check=False)

    def _boot(self) -> None:
        self._forget()
        log = (self.home / "console.log").open("ab")
        self._spawn = subprocess.Popen(
            [
                "systemd-nspawn",
                "-q",
                "--register=no",
                "--keep-unit",
                "-D",
                str(self.root),
                "-M",
                f"{self.lab.name}-{self.name}",
                f"--network-namespace-path=/run/netns/{self.namespace}",
                "--bind=/dev/net/tun",
                "--capability=all",
                "--boot",
            ],
            env=dict(os.environ, SYSTEMD_NSPAWN_API_VFS_WRITABLE="network"),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        log.close()
        self.lab.note(self._spawn.pid)

    def leader(self) -> int | None:
        """Return the process id of the node's own PID 1, or None when it does not run."""
        if self._spawn is None or self._spawn.poll() is not None:
            return None
        children = Path(f"/proc/{self._spawn.pid}/task/{self._spawn.pid}/children").read_text().split()
        return int(children[0]) if children else None

    def power_loss(self) -> None:
        """Cut the power: nothing is flushed, nothing is told."""
        while self._spawn is not None and self._spawn.poll() is None:
            leader = self.leader()
            if leader is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(leader, signal.SIGKILL)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._spawn.wait(timeout=0.2)

    def reboot(self) -> None:
        """Reboot cleanly and wait until the boot has finished: every unit has been started, or has failed."""
        # Nobody looks into the node while it goes down: systemd stops and kills all that runs there, and an
        # nsenter whose child is stopped stops itself, for good.
        leader = self.leader()
        if self._spawn is None or leader is None:
            raise RuntimeError(f"{self.name} is not running")
        for last in (False, False, True):
            os.kill(leader, signal.SIGINT)  # what Ctrl-Alt-Del is to a container's systemd
            try:
                self._spawn.wait(timeout=SHUTDOWN)
                break
            except subprocess.TimeoutExpired:
                if last:
                    raise
        self._boot()
        self.wait()
        end = time.monotonic() + 60
        while not self.booted():
            if time.monotonic() > end:
                raise RuntimeError(f"{self.name} did not finish its boot; see {self.home / 'console.log'}")
            time.sleep(0.1)

    def people(self, interface: str = "wg0") -> set[str]:
        """Return the keys of live peers that have addresses: people's and aliens', not our probe's."""
        lines = self.sh(f"wg show {interface} allowed-ips").splitlines()
        return {line.split("\t")[0] for line in lines if not line.endswith("(none)")}

    def booted(self) -> bool:
        """Return whether every unit of the boot has been started, or has failed."""
        return self.sh("systemctl is-system-running", check=False).strip() in {"running", "degraded"}

    def cut(self) -> None:
        """Pull the network cable."""
        run("ip", "-n", self.namespace, "link", "set", "eth0", "down")

    def plug(self) -> None:
        """Put the network cable back."""
        run("ip", "-n", self.namespace, "link", "set", "eth0", "up")
        run("ip", "-n", self.namespace, "addr", "add", f"{self.address6}/64", "dev", "eth0", "nodad", check=False)
        run("ip", "-n", self.namespace, "route", "replace", "default", "via", f"{self.lab.prefix}.0.1")
        run("ip", "-n", self.namespace, "-6", "route", "replace", "default", "via", f"{self.lab.prefix6}::1")

    def sh(self, script: str, check: bool = True) -> str:
        """Run a script on the node from the side (not through vpnctl) and return its stdout."""
        leader = self.leader()
        if leader is None:
            raise RuntimeError(f"{self.name} is not running")
        return run(
            "nsenter",
            "-t",
            str(leader),
            "--all",
            "--",
            "/usr/bin/env",
            "-i",
            "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
            "bash",
            "-c",
            script,
            check=check,
        )

    def fingerprint(self) -> str:
        """Return the SHA256 fingerprint of the node's host key, as a provider's console shows it."""
        return run("ssh-keygen", "-lf", str(self.home / "upper/etc/ssh/ssh_host_ed25519_key.pub")).split()[1]

    def destroy(self) -> None:
        """Power off and forget everything."""
        self.power_loss()
        run("umount", "-l", str(self.root), check=False)
        self.lab.leave(self.namespace)
        shutil.rmtree(self.home, ignore_errors=True)
