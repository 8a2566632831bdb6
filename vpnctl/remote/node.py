"""One call of the node script: what is sent, and what its answer means."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from importlib import resources

from vpnctl.errors import NodeFailed
from vpnctl.protocols import plugin
from vpnctl.protocols.host import TOKEN
from vpnctl.remote.plan import Plan
from vpnctl.remote.shell import COMMAND_SECONDS, Result, Shell
from vpnctl.rules.changes import Observed, SeenLink
from vpnctl.rules.grammar import clean

LOADER = (
    "LC_ALL=C; IFS= read -r script_bytes && IFS= read -r plan_bytes && IFS= read -r nonce"
    ' && script=$(head -c "$script_bytes") && [ "${#script}" = "$script_bytes" ] && eval "$script"'
)
"""Reads the whole script before it runs a word of it; then the rest of stdin is plan and files."""

APPLY_SECONDS = 300.0
"""Packages may have to be installed."""


@dataclass(frozen=True)
class Answer:
    """What the node said. `refused` is empty, `moved` (it is not as observed any more) or `busy`."""

    observed: Observed
    refused: str = ""
    failed: str = ""
    """The step that failed, in the node's words, or empty."""
    did: tuple[str, ...] = ()


@cache
def script() -> str:
    """Return the node script, without its comments."""
    text = resources.files("vpnctl.remote").joinpath("node.sh").read_text(encoding="ascii")
    return "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("# "))


def call(shell: Shell, node: str, protocols: dict[str, str], plan: Plan, looks: Sequence[str], now: datetime) -> Answer:
    """Run the node script with `plan` (no lines: only look) and return its parsed answer, read at `now`.

    `protocols` maps interface to protocol name. Raises Unreachable, or NodeFailed when the answer makes no sense.
    """
    nonce = secrets.token_hex(8)
    lines = "".join(f"{line}\n" for line in (*plan.lines, *looks, "go")).encode()
    body = script().encode()
    header = f"{len(body)}\n{len(lines)}\n{nonce}\n".encode()
    files = b"".join(file.text.reveal().encode() for file in plan.files)
    seconds = APPLY_SECONDS if plan.lines else COMMAND_SECONDS
    result = shell.run(("bash", "-c", LOADER), header + body + lines + files, seconds)
    return parse(node, protocols, result, nonce, now)


def parse(node: str, protocols: dict[str, str], result: Result, nonce: str, now: datetime) -> Answer:
    """Return the answer in `result`; NodeFailed unless it is whole and well-formed."""
    reader = _Reader(protocols)
    try:
        text = result.stdout.decode("utf-8")
        lines = text.split("\n")
        if result.status != 0 or len(lines) < 2 or lines[-2] != f"end\t{nonce}":  # noqa: PLR2004
            raise ValueError("it is not whole")
        for line in lines[:-2]:
            reader.feed(line)
        return reader.answer(now)
    except (ValueError, LookupError) as error:
        said = clean((result.stderr or result.stdout[-200:]).decode("utf-8", "replace").strip())
        raise NodeFailed(
            f"{node}: the answer of the node makes no sense: {clean(str(error))}"
            + (f"; it said: {said}" if said else ""),
            f"vpnctl node check {node}",
        ) from None


@dataclass
class _Reader:
    protocols: dict[str, str]
    words: dict[str, str] = field(default_factory=dict)
    sums: dict[str, str] = field(default_factory=dict)
    modes: dict[str, str] = field(default_factory=dict)
    units: set[str] = field(default_factory=set)
    facts: dict[str, str] = field(default_factory=dict)
    dumps: dict[str, tuple[int, int, list[str]]] = field(default_factory=dict)
    did: list[str] = field(default_factory=list)
    refused: str = ""
    failed: str = ""
    _dump: list[str] | None = None

    def feed(self, line: str) -> None:
        if line.startswith("|"):
            if self._dump is None:
                raise ValueError("a peer outside of a link")
            self._dump.append(line[1:])
            return
        kind, *rest = line.split("\t")
        if kind in ("vpnctl-node", "token", "boot", "clock"):
            self.words[kind] = rest[0]
        elif kind == "link":
            self._dump = []
            self.dumps[rest[0]] = (int(rest[1]), int(rest[2]), self._dump)
        elif kind == "sum":
            self.sums[rest[0]] = rest[1]
        elif kind == "mode":
            self.modes[rest[0]] = rest[1]
        elif kind == "unit":
            self.units.add(rest[0])
        elif kind == "fact":
            self.facts[rest[0]] = clean(rest[1], 60)
        elif kind == "did":
            self.did.append(clean(" ".join(rest), 200))
        elif kind == "failed":
            self.failed = clean(": ".join([" ".join(rest[:2]), rest[2].strip() or "it gave no reason"]))
        elif kind == "refused":
            self.refused = rest[0]
        elif kind != "applied":
            raise ValueError(f"unknown record '{clean(kind, 40)}'")

    def answer(self, now: datetime) -> Answer:
        if self.words.get("vpnctl-node") != "1":
            raise ValueError("it is not the node script's")
        links = {}
        for interface, (mtu, index, dump) in self.dumps.items():
            public, port, peers = plugin(self.protocols[interface]).parse_dump(dump)
            links[interface] = SeenLink(public, port, mtu, peers, index)
        observed = Observed(
            token=_token(self.words["token"]),
            boot_id=clean(self.words["boot"], 40),
            clock=int(self.words["clock"]),
            files={path: (digest, self.modes.get(path, "")) for path, digest in self.sums.items()},
            units=frozenset(self.units),
            links=links,
            read_at=now,
            facts=self.facts,
        )
        return Answer(observed, self.refused, self.failed, tuple(self.did))


def _token(text: str) -> str:
    """A token stands in a command that people are told to type, so it is one or the answer makes no sense."""
    if text != "-" and not (text.isascii() and text.isalnum() and len(text) <= 40):  # noqa: PLR2004
        raise ValueError("a token that is none")
    return text


__all__ = ["LOADER", "TOKEN", "Answer", "call", "parse", "script"]
