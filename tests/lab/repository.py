"""A signed package repository in the shape of Launchpad's, below a folder of a lab node."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

from tests.lab.host import run

_RELEASE = """Origin: LP-PPA-amnezia
Label: laboratory
Suite: {suite}
Codename: {suite}
Architectures: amd64
Components: main
Date: Thu, 01 Jan 2026 00:00:00 UTC
SHA256:
"""


def make(root: Path, deb: Path, suite: str, home: Path) -> str:
    """Make one in `root` with this package; return the fingerprint of its key, which is in `root/key.asc`."""
    pool, index = root / "pool", root / f"dists/{suite}/main/binary-amd64/Packages"
    pool.mkdir(parents=True)
    index.parent.mkdir(parents=True)
    shutil.copy(deb, pool / deb.name)
    listing = subprocess.run(
        ["dpkg-scanpackages", "-m", "pool"], cwd=root, capture_output=True, text=True, check=True
    ).stdout
    index.write_text(listing)
    digest, size = hashlib.sha256(index.read_bytes()).hexdigest(), index.stat().st_size
    release = root / f"dists/{suite}/Release"
    release.write_text(_RELEASE.format(suite=suite) + f" {digest} {size} main/binary-amd64/Packages\n")
    fingerprint = key(home, root / "key.asc")
    run(*_gpg(home), "--clearsign", "-o", str(release.with_name("InRelease")), str(release))
    return fingerprint


def key(home: Path, public: Path) -> str:
    """Make a key in the folder `home`, write its public part, return its fingerprint."""
    home.mkdir(mode=0o700)
    run(*_gpg(home), "--passphrase", "", "--quick-gen-key", "laboratory <lab@example.org>", "rsa2048", "sign", "never")
    public.write_text(run(*_gpg(home), "--armor", "--export"))
    listing = run(*_gpg(home), "--with-colons", "--list-keys")
    return next(line.split(":")[9] for line in listing.splitlines() if line.startswith("fpr:"))


def _gpg(home: Path) -> tuple[str, ...]:
    return ("gpg", "--homedir", str(home), "--batch", "-q", "--pinentry-mode", "loopback")
