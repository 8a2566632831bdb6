"""The first login on a server: how its host key is known, and what lets us in."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from vpnctl.cli.front import current

Fingerprint = Annotated[
    str | None,
    typer.Option("--host-key-fp", metavar="SHA256:…", help="The host key's fingerprint, from your provider's console."),
]


KnownHosts = Annotated[
    Path | None, typer.Option("--known-hosts", metavar="FILE", help="Take the host key from a known_hosts file.")
]


Identity = Annotated[Path | None, typer.Option("--identity", metavar="FILE", help="Private key for the first login.")]


Password = Annotated[bool, typer.Option("--password-stdin", help="Read the password for the first login from stdin.")]


Agent = Annotated[bool, typer.Option("--agent", help="Use the SSH agent for the first login.")]


TRIES = 3


def means_of(identity: Path | None, password_stdin: bool, agent: bool) -> Any:
    """Return the way in that was named; InvalidInput for several. A password is read from stdin."""
    from vpnctl.errors import InvalidInput
    from vpnctl.remote.enroll import Means

    if sum((identity is not None, password_stdin, agent)) > 1:
        raise InvalidInput("give one of --identity, --password-stdin, --agent", "one way in is enough")
    password = current().read_secret("password", "--password-stdin") if password_stdin else None
    return Means(identity, password, agent)


def text_of(path: Path | None) -> str | None:
    """Return what a file says; InvalidInput when it cannot be read."""
    from vpnctl.errors import InvalidInput

    try:
        return path.read_text(encoding="utf-8", errors="replace") if path is not None else None
    except OSError as error:
        raise InvalidInput(f"cannot read {path}: {error.strerror}", "check the path") from None


def ask_host_key(fingerprint: str) -> bool:
    """Ask on a terminal only, and want a part of the fingerprint typed: a plain yes is too easy to give."""
    from vpnctl.errors import Distrust
    from vpnctl.rules.grammar import clean

    front = current()
    if not sys.stdin.isatty():
        return False
    front.say(f"The server shows the host key {fingerprint}\nCompare it with your provider's console.")
    wrong = ""
    for _ in range(TRIES):
        sys.stderr.write("Type its last 6 characters to trust it: ")
        sys.stderr.flush()
        typed = sys.stdin.readline().strip()
        if typed == fingerprint[-6:]:
            return True
        if not typed:
            break
        wrong = typed
        front.say(f"'{clean(wrong)}' is not its last 6 characters")
    if wrong:
        raise Distrust("the host key is not trusted; nothing was saved", "compare all of it, and type its last 6")
    return False
