"""The base images of lab nodes: a minimal Debian 12 (or 13) plus an offline package repository.

Built once with mmdebstrap and cached outside the repository; the name of the cache folder
carries a digest of the recipe, so that a changed recipe is a new image.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.lab import amneziawg, cores
from tests.lab.host import run

SUITE, NEXT = "bookworm", "trixie"
INCLUDE = "systemd,systemd-sysv,dbus,openssh-server,iproute2,ca-certificates,sudo,wireguard-go"
"""wireguard-go stands in for the kernel module; what provisioning installs is left out."""
OFFERED = ("wireguard-tools", "nftables", "ufw", "iptables", "python3-minimal", "cron", "curl", "gpg", "unzip", "v2ray")
RECIPE = 4


def cache() -> Path:
    root = os.environ.get("LAB_CACHE")
    return Path(root) if root else Path.home() / ".cache" / "vpnctl-lab"


def mirror() -> str:
    """Return the mirror that this machine's own apt uses for Debian 12."""
    listing = run("apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages")
    for line in listing.splitlines():
        uri, release, component = line.split()
        if release == SUITE and component == "main":
            return uri
    raise RuntimeError(f"no {SUITE} mirror among this machine's apt sources; run: apt-get update")


def base(say: Callable[[str], None] = lambda _text: None, suite: str = SUITE) -> Path:
    """Return the folder of the base image of a Debian, building it when it is not there yet."""
    parts = f"{RECIPE} {suite} {INCLUDE} {OFFERED} {amneziawg.digest()} {cores.digest()}"
    digest = hashlib.sha256(parts.encode()).hexdigest()[:12]
    home = cache()
    home.mkdir(parents=True, exist_ok=True, mode=0o755)
    ready = home / f"base-{digest}"
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready.exists():
            say(f"building the base image of the lab, Debian {suite} (once, under a minute)")
            _build(home / f"building-{digest}", ready, suite)
    return ready


def _build(work: Path, ready: Path, suite: str) -> None:
    if work.exists():
        shutil.rmtree(work)
    uri = mirror()
    run(
        "mmdebstrap",
        "--quiet",
        "--variant=minbase",
        f"--include={INCLUDE}",
        suite,
        str(work),
        uri,
        timeout=600,
    )
    _offline_repository(work, f"deb {uri} {suite} main\n")
    (work / "etc/apt/sources.list").write_text("deb [trusted=yes] file:/srv/apt ./\n")
    for host_key in (work / "etc/ssh").glob("ssh_host_*"):
        host_key.unlink()
    sshd = work / "etc/ssh/sshd_config.d/lab.conf"
    sshd.write_text("PermitRootLogin yes\nUseDNS no\nMaxStartups 200\nMaxSessions 100\n")
    (work / "etc/resolv.conf").unlink(missing_ok=True)
    (work / "etc/resolv.conf").write_text("")
    work.rename(ready)


def _offline_repository(work: Path, source: str) -> None:
    """Put the packages that nodes install into /srv/apt, fetched by the image's own apt: nodes reach no mirror."""
    debs = work / "srv/apt"
    debs.mkdir(parents=True)
    (debs / "partial").mkdir()
    shutil.chown(debs / "partial", "_apt")
    (work / "etc/apt/sources.list").write_text(source)
    for config in Path("/etc/apt/apt.conf.d").glob("*"):
        if "proxy" in config.read_text().lower():  # this machine's way to its mirror
            shutil.copy(config, work / "etc/apt/apt.conf.d" / config.name)
    shutil.copy("/etc/resolv.conf", work / "etc/resolv.conf")
    apt = ("chroot", str(work), "apt-get", "-qq")
    run(*apt, "update", timeout=300)
    fetch = ("-o", "Dir::Cache::archives=/srv/apt", "--no-install-recommends", "--download-only", "-y", "install")
    run(*apt, *fetch, *OFFERED, timeout=600)
    shutil.rmtree(work / "var/lib/apt/lists")
    (work / "var/lib/apt/lists/partial").mkdir(parents=True)
    shutil.rmtree(debs / "partial")
    (debs / "lock").unlink(missing_ok=True)
    if amneziawg.why_not() is None:
        amneziawg.build(work)
    if cores.why_not() is None:
        cores.build(work)
    listing = subprocess.run(["dpkg-scanpackages", "-m", "."], cwd=debs, capture_output=True, text=True, check=True)
    (debs / "Packages").write_text(listing.stdout)
