"""The way to a panel: batches of HTTP requests, from here over TLS, or on its own machine through the node's shell."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from vpnctl.rules.secret import Secret

LEFT = ("/var/lib/vpnctl/panel-token", "/var/lib/vpnctl/panel-lock")
"""What panel.sh keeps on a server."""


@dataclass(frozen=True)
class Access:
    """Where a panel answers, and how to get in."""

    url: str
    """`http://HOST:PORT/BASE` or `https://…`, without a slash at its end."""
    login: str
    """Empty: `secret` is a token."""
    secret: Secret
    certificate: str = ""
    """SHA-256 of the certificate that must be shown, as `SHA256:HEX`; empty: one that this machine trusts."""


@dataclass(frozen=True)
class Sent:
    """One request as it goes out. `body` of None is fetched with GET."""

    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Reply:
    """One answer. Status 0: there was none. Header names are lower-case; cookies are in `cookies`."""

    status: int
    body: bytes = field(default=b"", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    cookies: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Guard:
    """Send only if the node still shows the token `seen`; it shows `fresh` before the first request is sent."""

    seen: str
    fresh: str


@dataclass(frozen=True)
class Exchanged:
    """What came of a batch. `refused` is empty, `moved` (another token) or `busy`; then nothing was sent."""

    replies: Sequence[Reply]
    token: str
    """What the node shows now; `-` where it shows none, or keeps none."""
    clock: int | None
    """The node's own clock, Unix seconds."""
    refused: str = ""
    left: Mapping[int, int | None] = field(default_factory=dict)
    """Port -> connections of those who were cut that are open yet; None: nobody knows whose are whose."""


@dataclass(frozen=True)
class Cut:
    """Whose open connections are to be ended, on the port of an inbound."""

    port: int
    names: Sequence[str]


class Door(Protocol):
    """An open way to one panel."""

    fences: bool
    """Whether the node keeps a token and a lock for us."""

    def send(
        self,
        messages: Sequence[Sent],
        guard: Guard | None = None,
        still: Callable[[], bool] = lambda: True,
        cuts: Sequence[Cut] = (),
    ) -> Exchanged:
        """Send requests one after the other, whatever is answered; no redirect is followed. Before the last, cut.

        `still` is asked before each where the node keeps no lock: false ends the batch. Raises Unreachable, or
        NodeFailed when the answer makes no sense.
        """

    def close(self) -> None:
        """Let go of its own connection."""
