"""The way to run one command on a node, whatever the transport."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

CONNECT_SECONDS = 10.0
"""An unreachable node is given up after this long."""
FIRST_SECONDS = 90.0
"""The first login waits longer: somebody sits there, and new servers look up names before they answer."""
COMMAND_SECONDS = 60.0
OUTPUT_CAP = 16 * 1024 * 1024
"""Bytes; 50,000 peers are 10 MB of dump. More than the cap is a node that floods."""


@dataclass(frozen=True)
class Result:
    """What a command left behind. `status` is the exit status, never negative."""

    status: int
    stdout: bytes
    stderr: bytes
    began: bool = True
    """Whether the command was begun at all; false where the server ran something else in its place."""
    before: bytes = b""
    """What the server said on stdout before the command began."""


@dataclass(frozen=True)
class Login:
    """Where and as whom to connect, and which host key must answer. `via` is the way to a node behind another."""

    node: str
    kind: str
    """`ssh`, `local`, or `https`: then there is no shell."""
    host: str
    port: int
    user: str
    host_key: str
    via: Login | None = None
    known: bool = True
    """Whether the node is saved: a hint may name it."""

    @property
    def check(self) -> str:
        """What to type to look at it again."""
        return f"vpnctl node check {self.node}" if self.known else "look at the server's console, then try again"


Hear = Callable[[bytes], None]


def deaf(_part: bytes) -> None:
    """Hear nothing."""


class Shell(Protocol):
    """An open connection to one node."""

    def run(
        self, argv: Sequence[str], stdin: bytes = b"", seconds: float = COMMAND_SECONDS, hear: Hear = deaf
    ) -> Result:
        """Run `argv` as root and return its result; `hear` gets the parts of stdout as they come.

        stdout begins where the command does: what a login shell prints before it is no part of it.
        Raises Unreachable when the connection breaks or the deadline passes, NodeFailed when the output
        exceeds the cap. The command may go on on the node after that; what it does is fenced there.
        """

    def is_open(self) -> bool:
        """Return whether the connection still seems to work; a use of it tells more."""

    def close(self) -> None:
        """Close the connection; harmless when it is broken already."""
