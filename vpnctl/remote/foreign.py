"""Files of a VPN server that somebody else set up. What is read holds keys: it is never quoted."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence

from vpnctl.errors import NodeFailed
from vpnctl.remote.shell import Shell
from vpnctl.rules.secret import Secret

_PACK = 'shopt -s nullglob; files=($1); [ ${#files[@]} = 0 ] || tar -chf - -- "${files[@]}" 2>/dev/null'
_LARGEST = 65536


def config(shell: Shell, node: str, path: str) -> Secret:
    """Return a config file of the server. NodeFailed where there is none."""
    result = shell.run(("cat", path), seconds=20)
    if result.status:
        raise NodeFailed(f"{node} has no file {path}", "name the interface that it serves: --interface NAME")
    return Secret(result.stdout.decode("utf-8", "replace"))


def clients(shell: Shell, patterns: Sequence[str]) -> list[Secret]:
    """Return the files of clients that installers left under these paths; odd ones are passed over."""
    result = shell.run(("bash", "-c", _PACK, "vpnctl", " ".join(patterns)), seconds=60)
    found = []
    if result.stdout:
        try:
            with tarfile.open(fileobj=io.BytesIO(result.stdout), mode="r:") as tar:
                for member in tar:
                    file = tar.extractfile(member) if member.isfile() and member.size <= _LARGEST else None
                    found += [Secret(file.read().decode("utf-8", "replace"))] if file else []
        except tarfile.TarError:
            return found
    return found
