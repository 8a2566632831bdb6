"""Programs of other makers for the laboratory, built with Go from their own modules, each pinned."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import zipfile
from pathlib import Path

SOURCE = Path(__file__).parent
PROGRAMS = {
    "xray": ("github.com/xtls/xray-core/main", ""),
    "mihomo": ("github.com/metacubex/mihomo", "with_gvisor"),
    "sing-box": ("github.com/sagernet/sing-box/cmd/sing-box", "with_gvisor,with_utls,with_wireguard"),
    "x-ui": ("github.com/mhsanaei/3x-ui/v2", "netgo,osusergo,sqlite_omit_load_extension"),
}
"""Name -> (main package, build tags)."""
NEEDS_C = {"x-ui": "-linkmode external -extldflags -static"}
"""Those with SQLite in them: how they are linked, for whatever C library nodes have."""
TOOLS = "opt/lab-cores"
"""Where an image keeps the programs for clients, which are namespaces of this machine."""
ARCHIVE = "srv/xray.zip"
"""What nodes install Xray from: an archive as its makers publish it."""


def why_not() -> str | None:
    """Return why they cannot be built here, or None."""
    missing = [name for name, program in (("Go", "go"), ("C compiler", "gcc")) if not shutil.which(program)]
    return f"there is no {missing[0]} on this machine" if missing else None


def digest() -> str:
    """Return what changes when what is built changes."""
    if why_not():
        return "without"
    texts = [path.read_bytes() for path in sorted(SOURCE.rglob("*")) if path.is_file() and path.suffix != ".pyc"]
    return hashlib.sha256(b"".join(texts)).hexdigest()[:12]


def build(image: Path) -> None:
    """Put them into an image."""
    tools = image / TOOLS
    tools.mkdir(parents=True)
    env = {**os.environ, "GOFLAGS": "-buildvcs=false -mod=readonly"}
    for name, (what, tags) in PROGRAMS.items():
        linked = f"-s -w {NEEDS_C.get(name, '')}".strip()
        command = ["go", "build", "-trimpath", "-ldflags", linked, "-tags", tags, "-o", str(tools / name), what]
        own = {**env, "CGO_ENABLED": "1" if name in NEEDS_C else "0"}
        subprocess.run(command, cwd=SOURCE / name, env=own, check=True, timeout=900)
    with zipfile.ZipFile(image / ARCHIVE, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.write(tools / "xray", "xray")


def setting(image: Path) -> str:
    """Return the setting `xray_archive` for nodes of an image."""
    with (image / ARCHIVE).open("rb") as archive:
        return f"file:///{ARCHIVE}#sha256={hashlib.file_digest(archive, 'sha256').hexdigest()}"
