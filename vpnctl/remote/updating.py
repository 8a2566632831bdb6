"""Packages and programs on a node: what is there, what could be, and the way there and back (update.sh)."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

from vpnctl.errors import NodeFailed
from vpnctl.remote.shell import Shell
from vpnctl.rules.desired import Archive
from vpnctl.rules.grammar import quoted

SECONDS = 900.0
"""apt may be waited for, and be slow."""
_VERSION = re.compile(r"[A-Za-z0-9.+~:-]{1,80}")
_START = (
    "export LC_ALL=C DEBIAN_FRONTEND=noninteractive PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"
    "umask 077; shopt -s extglob; trap '' HUP\nstate=/var/lib/vpnctl tab=$'\\t' fragments=\n"
)


@dataclass(frozen=True)
class Version:
    """One package or program. `now` is a version, or the sha256 of the archive that it came from."""

    name: str
    now: str
    then: str
    archive: Archive | None = None
    """Where a program comes from; None for a package."""


@dataclass(frozen=True)
class Versions:
    """What a node has of ours. `begun`: an update was begun there, and neither taken back nor kept.

    Then `found` is what that one is about.
    """

    found: tuple[Version, ...]
    begun: bool


@cache
def _script() -> str:
    folder = resources.files("vpnctl.remote")
    texts = [folder.joinpath(name).read_text(encoding="ascii") for name in ("say.sh", "install.sh", "update.sh")]
    return _START + "\n".join(texts) + '\nupdate "$@"\n'


def look(shell: Shell, node: str, packages: Sequence[str], archives: Sequence[Archive]) -> Versions:
    """Return what is there of these, where it is installed. The server's lists of packages are read anew for it."""
    programs = {each.program: each for each in archives}
    records = _run(shell, node, "look", " ".join(packages), " ".join(programs))
    found = []
    begun = [each for each in records if each[0] == "begun"]
    kept = [_begun(words, programs) for _, *words in begun if len(words) == 4]  # noqa: PLR2004 - kind, name, old, new
    if begun:
        return Versions(tuple(each for each in kept if each is not None), begun=True)
    for kind, *words in records:
        if not all(_VERSION.fullmatch(word) for word in words):
            continue
        match kind, words:
            case "package", [name, now, then] if name in packages and "-" not in (now, then):
                found.append(Version(name, now, then))
            case "program", [name, now] if name in programs and now != "-":
                digests = [digest for _, _, digest in programs[name].builds]
                found.append(Version(name, now, now if now in digests else digests[0], programs[name]))
    return Versions(tuple(found), begun=False)


def _begun(words: Sequence[str], programs: Mapping[str, Archive]) -> Version | None:
    kind, name, now, then = words
    if not all(_VERSION.fullmatch(word) for word in words):
        return None
    if kind == "package":
        return Version(name, now, then)
    archive = programs.get(name)
    return Version(name, now, archive.builds[0][2], archive) if archive else None


def take(shell: Shell, node: str, versions: Sequence[Version], units: Sequence[str], *, one_way: bool) -> None:
    """Keep what is there, install these versions, start what runs them anew. Raises NothingTaken, or NodeFailed."""
    lines = [_line(each) for each in versions] + [f"restart\t{unit}" for unit in units]
    _run(shell, node, "take", "one-way" if one_way else "", stdin="".join(f"{line}\n" for line in lines).encode())


def _line(each: Version) -> str:
    if each.archive is None:
        return f"package\t{each.name}\t{each.then}"
    return "\t".join(
        ["program", each.name, *(f"{machine} {digest} {url}" for machine, url, digest in each.archive.builds)]
    )


def back(shell: Shell, node: str) -> None:
    """Bring back what was kept. Raises NodeFailed."""
    _run(shell, node, "back")


def forget(shell: Shell, node: str) -> None:
    """Let go of the way back: what is there stays."""
    _run(shell, node, "done")


class NothingTaken(NodeFailed):
    """What was there could not be kept, so nothing was changed."""


def _run(shell: Shell, node: str, *words: str, stdin: bytes = b"") -> list[list[str]]:
    nonce = secrets.token_hex(8)
    result = shell.run(("bash", "-c", _script(), "update", nonce, *words), stdin, SECONDS)
    records = [line.split("\t") for line in result.stdout.decode("utf-8", "replace").split("\n")]
    failed = next((each for each in records if each[0] == "failed"), None)
    if failed is not None:
        kind = NothingTaken if failed[1:2] == ["keep"] else NodeFailed
        raise kind(f"{node}: {quoted(failed[-1])}", f"vpnctl node check {node}")
    if result.status != 0 or ["end", nonce] not in records:
        raise NodeFailed(f"{node}: the answer of the node makes no sense: it is not whole", f"vpnctl node check {node}")
    return records
