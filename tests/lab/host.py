"""What this machine must have before it can boot lab nodes, and how to get it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

PACKAGES = {
    "systemd-nspawn": "systemd-container",
    "mmdebstrap": "mmdebstrap",
    "wg": "wireguard-tools",
    "wireguard-go": "wireguard-go",
    "nft": "nftables",
    "dpkg-scanpackages": "dpkg-dev",
    "ssh": "openssh-client",
    "ip": "iproute2",
    "ping": "iputils-ping",
    "zbarimg": "zbar-tools",
    "openssl": "openssl",
    "gpg": "gpg",
    "/usr/lib/postgresql/15/bin/initdb": "postgresql-15",
    "/usr/sbin/nats-server": "nats-server",
    "gcc": "gcc",
    "/usr/lib/x86_64-linux-gnu/libc.a": "libc6-dev",
}
"""Program or file -> Debian package that brings it."""


def why_not() -> str | None:
    """Return why lab nodes cannot boot here, or None when they can (after `install`)."""
    if os.geteuid() != 0:
        return "it needs root"
    if not Path("/dev/net/tun").exists():
        return "there is no /dev/net/tun"
    if not Path("/etc/debian_version").exists():
        return "this is not a Debian system"
    probe = subprocess.run(["unshare", "--mount", "--net", "true"], capture_output=True, check=False)
    if probe.returncode:
        return "namespaces cannot be made here (a plain container?)"
    return None


def missing() -> list[str]:
    """Return the Debian packages that are not installed yet."""
    return [package for program, package in PACKAGES.items() if not (shutil.which(program) or Path(program).is_file())]


def install() -> None:
    """Install what is missing, with apt, once."""
    wanted = missing()
    if not wanted:
        return
    env = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    quiet = {"env": env, "stdout": subprocess.DEVNULL}
    subprocess.run(["apt-get", "update", "-q"], check=True, **quiet)  # type: ignore[call-overload]
    subprocess.run(
        ["apt-get", "install", "-qy", "--no-install-recommends", *wanted],
        check=True,
        **quiet,
    )  # type: ignore[call-overload]


def run(*argv: str, stdin: str = "", check: bool = True, timeout: float = 60) -> str:
    """Run a program of this machine and return its stdout."""
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False, timeout=timeout)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout
