"""AmneziaWG for the laboratory, built with Go: the real amneziawg-go, and stand-ins for its tools, which are C.

amneziawg-go stands in for the kernel module, as wireguard-go does, and is in the image. `awg` (tests/lab/awg) says what the
real one says, to the real implementation; `awg-quick` and its unit are those of WireGuard with other names. Both are a
Debian package of the image's offline archive, so that provisioning installs them.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

from tests.lab.host import run

SOURCE = Path(__file__).parent / "awg"
GO = "github.com/amnezia-vpn/amneziawg-go"
TOOLS = "opt/lab-awg"
"""Where an image keeps the programs for clients, which are namespaces of this machine."""
_CONTROL = """Package: amneziawg-tools
Version: 1.0.20260618-2~lab1
Architecture: amd64
Maintainer: laboratory <lab@example.org>
Depends: iproute2
Description: stand-in for the laboratory
"""


def why_not() -> str | None:
    """Return why it cannot be built here, or None."""
    return None if shutil.which("go") else "there is no Go on this machine"


def digest() -> str:
    """Return what changes when what is built changes."""
    if why_not():
        return "without"
    texts = [path.read_bytes() for path in sorted(SOURCE.iterdir())] + [Path(__file__).read_bytes()]
    return hashlib.sha256(b"".join(texts)).hexdigest()[:12]


def build(image: Path) -> None:
    """Put all of it into an image whose archive has WireGuard's tools already."""
    tools = image / TOOLS
    tools.mkdir(parents=True)
    env = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false -mod=readonly"}
    for name, what in (("awg", "."), ("amneziawg-go", GO)):
        subprocess.run(
            ["go", "build", "-trimpath", "-o", str(tools / name), what], cwd=SOURCE, env=env, check=True, timeout=600
        )
    shutil.copy(tools / "amneziawg-go", image / "usr/bin/amneziawg-go")
    tree = image / "tmp/awg"
    archive = next((image / "srv/apt").glob("wireguard-tools_*.deb"))
    run("dpkg-deb", "-x", str(archive), str(image / "tmp/wg"))
    quick = image / "tmp/wg/usr/bin/wg-quick"
    unit = next((image / "tmp/wg").glob("*/systemd/system/wg-quick@.service"), None) or next(
        (image / "tmp/wg").glob("usr/lib/systemd/system/wg-quick@.service")
    )
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(_CONTROL)
    (tree / "usr/bin").mkdir(parents=True)
    (tree / "usr/lib/systemd/system").mkdir(parents=True)
    shutil.copy(tools / "awg", tree / "usr/bin/awg")
    (tree / "usr/bin/awg-quick").write_text(_renamed(quick.read_text()))
    (tree / "usr/bin/awg-quick").chmod(0o755)
    (tree / "usr/lib/systemd/system/awg-quick@.service").write_text(_renamed(unit.read_text()))
    shutil.copy(tree / "usr/bin/awg-quick", tools / "awg-quick")
    run("dpkg-deb", "--root-owner-group", "-b", str(tree), str(image / "srv/apt/amneziawg-tools_lab_amd64.deb"))
    shutil.rmtree(image / "tmp/wg")
    shutil.rmtree(tree)


def _renamed(text: str) -> str:
    """Return a program of WireGuard as one of AmneziaWG: other commands, folders, kinds of links, implementation."""
    text = re.sub(r"\bwg\b", "awg", text)
    text = text.replace("wireguard-go", "amneziawg-go").replace("/etc/wireguard", "/etc/amnezia/amneziawg")
    text = text.replace("type wireguard", "type amneziawg").replace("/sys/module/wireguard", "/sys/module/amneziawg")
    return text.replace("/var/run/wireguard", "/var/run/amneziawg")
