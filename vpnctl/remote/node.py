"""One call of the node script: what is sent, and what its answer means."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib import resources

from vpnctl.errors import NodeFailed
from vpnctl.protocols import plugin
from vpnctl.protocols.host import TOKEN
from vpnctl.remote.plan import NodePlan
from vpnctl.remote.records import Reader, ScriptAnswer
from vpnctl.remote.shell import COMMAND_SECONDS, Result, Shell
from vpnctl.rules.desired import File
from vpnctl.rules.grammar import quoted

LOADER = (
    "LC_ALL=C; IFS= read -r script_bytes && IFS= read -r plan_bytes && IFS= read -r nonce"
    ' && script=$(head -c "$script_bytes") && [ "${#script}" = "$script_bytes" ] && eval "$script"'
)
"""Reads the whole script before it runs a word of it; then the rest of stdin is plan and files."""

APPLY_SECONDS = 420.0
"""Packages may have to be installed, and apt to be waited for (five minutes, in the script)."""
BUILD_SECONDS = 1500.0
"""Where a repository is added too: apt may be waited for twice, and a kernel module be built on one slow processor."""


@cache
def script(protocols: frozenset[str] = frozenset(), *, path: bool = False) -> str:
    """Return the node script for these protocols, without comments; with what tries paths where that is asked for."""
    texts = []
    kinds = [plugin(each) for each in sorted(protocols)]
    for package in dict.fromkeys(package for kind in kinds for package in kind.script):
        folder = resources.files(package)
        parts = [folder.joinpath(name) for name in ("node.sh", *(("path.sh",) if path else ()))]
        texts += [part.read_text(encoding="ascii") for part in parts if part.is_file()]
    fragments = {kind.fragment for kind in kinds}
    texts.append(f"fragments='{' '.join(sorted(fragments))}'")
    texts += [
        resources.files("vpnctl.remote").joinpath(name).read_text(encoding="ascii")
        for name in ("say.sh", "look.sh", "install.sh", "node.sh")
    ]
    return "\n".join(line for text in texts for line in text.splitlines() if not line.lstrip().startswith("# "))


@dataclass(frozen=True)
class Target:
    """The node that is asked: the way in, its name, and the protocol of each endpoint there."""

    shell: Shell
    node: str
    protocols: dict[str, str]


def call(
    target: Target,
    plan: NodePlan,
    looks: Sequence[str],
    now: datetime,
    waits: Callable[[], object] = lambda: None,
) -> ScriptAnswer:
    """Run the node script with `plan` (no lines: only look) and return its parsed answer, read at `now`.

    `waits` is called whenever the node says that it waits for apt.
    Raises Unreachable, or NodeFailed when the answer makes no sense. No error quotes what the node said.
    """
    nonce = secrets.token_hex(8)
    lines = "".join(f"{line}\n" for line in (*plan.lines, *looks, "go")).encode()
    tries = any(line.startswith("look-path") for line in looks)
    body = script(frozenset(target.protocols.values()), path=tries).encode()
    header = f"{len(body)}\n{len(lines)}\n{nonce}\n".encode()
    files = b"".join(file.text.reveal().encode() for file in plan.files)
    seconds = BUILD_SECONDS if plan.builds else APPLY_SECONDS if plan.lines or tries else COMMAND_SECONDS

    def hear(part: bytes) -> None:
        if b"wait\tapt\n" in part:
            waits()

    result = target.shell.run(("bash", "-c", LOADER), header + body + lines + files, seconds, hear)
    return parse(target.node, target.protocols, result, nonce, now)


def scrubbed(text: str, files: Sequence[File]) -> str:
    """Return a node's reason; if it holds part of a secret of our files, however broken up, only that it did."""
    bare = "".join(letter for letter in text if letter not in " \t\n\\")
    said = {bare[at : at + _PART] for at in range(len(bare) - _PART + 1)}
    for file in files:
        for secret in file.secrets:
            word = secret.reveal()
            parts = (word[at : at + _PART] for at in range(max(1, len(word) - _PART)))
            if word in bare or any(part in said for part in parts):
                return f"{text.partition(':')[0]}: its reason holds part of a key and is not shown"
    return text


_PART = 12


def parse(node: str, protocols: dict[str, str], result: Result, nonce: str, now: datetime) -> ScriptAnswer:
    """Return the answer in `result`; NodeFailed unless it is whole and well-formed."""
    reader = Reader(protocols)
    try:
        text = result.stdout.decode("utf-8", "replace")
        lines = text.split("\n")
        end = f"end\t{nonce}"
        if result.status != 0 or lines[:-1].count(end) != 1:
            raise ValueError("it is not whole")
        for line in lines[: lines.index(end)]:  # a login shell may say good-bye behind it
            reader.feed(line)
        return reader.answer(now)
    except (ValueError, LookupError) as error:
        why = str(error) if type(error) is ValueError and str(error) in _SAYABLE else "it is malformed"
        said = quoted(result.stderr.decode("utf-8", "replace")) if result.status else ""
        raise NodeFailed(
            f"{node}: the answer of the node makes no sense: {why}" + (f"; it complained: {said}" if said else ""),
            f"vpnctl node check {node}",
        ) from None


_SAYABLE = ("it is not whole", "it is not the node script's")


__all__ = ["LOADER", "TOKEN", "ScriptAnswer", "call", "parse", "script"]
