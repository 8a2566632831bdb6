"""Connections that stay open between two looks at a node: a round over many then costs one command each.

A connection belongs to exactly one way to log in, host key included: a node that is trusted anew, or reached otherwise,
gets a new one, and the old one ends by idleness.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence

from vpnctl.errors import Unreachable
from vpnctl.remote.shell import COMMAND_SECONDS, Hear, Login, Result, Shell, deaf

MOST, IDLE = 1024, 600.0
"""Connections that are kept, and seconds without use after which one is closed."""


class WarmConnections:
    """Opens connections by `connect` and keeps them. Safe for threads; a connection serves one user at a time."""

    def __init__(
        self,
        connect: Callable[[Login], Shell],
        most: int = MOST,
        idle: float = IDLE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connect, self._most, self._idle, self._clock = connect, most, idle, clock
        self._lock = threading.Lock()
        self._kept: dict[Login, list[tuple[float, Shell]]] = {}
        self._closed = False

    def connect(self, login: Login) -> Shell:
        """Return a connection, a kept one where there is one. Closing it gives it back. Raises like `connect`."""
        while (kept := self._take(login)) is not None:
            if kept.is_open():
                return _WarmShell(self, login, kept, used=True)
            kept.close()
        return _WarmShell(self, login, self._connect(login), used=False)

    def afresh(self, login: Login) -> Shell:
        """Return a new connection."""
        return self._connect(login)

    def give_back(self, login: Login, shell: Shell) -> None:
        """Keep a connection that works, unless there are enough."""
        self.sweep()
        with self._lock:
            if not self._closed and shell.is_open() and sum(map(len, self._kept.values())) < self._most:
                self._kept.setdefault(login, []).append((self._clock(), shell))
                return
        shell.close()

    def sweep(self) -> None:
        """Close what nobody used for long."""
        now, old = self._clock(), []
        with self._lock:
            for login, kept in list(self._kept.items()):
                old += [shell for since, shell in kept if now - since >= self._idle]
                left = [each for each in kept if now - each[0] < self._idle]
                if left:
                    self._kept[login] = left
                else:
                    del self._kept[login]
        for shell in old:
            shell.close()

    def count(self) -> int:
        """Return how many wait to be used."""
        with self._lock:
            return sum(map(len, self._kept.values()))

    def close(self) -> None:
        """Close all that wait, and keep none from now on."""
        with self._lock:
            self._closed = True
            kept = [shell for each in self._kept.values() for _, shell in each]
            self._kept.clear()
        for shell in kept:
            shell.close()

    def _take(self, login: Login) -> Shell | None:
        with self._lock:
            kept = self._kept.get(login)
            if not kept:
                return None
            shell = kept.pop()[1]
            if not kept:
                del self._kept[login]
            return shell


class _WarmShell:
    """A connection on loan. One that broke while it waited is replaced, once, before anything was run on it."""

    def __init__(self, home: WarmConnections, login: Login, shell: Shell, *, used: bool) -> None:
        self._home, self._login, self._shell = home, login, shell
        self._fresh = not used

    def run(
        self, argv: Sequence[str], stdin: bytes = b"", seconds: float = COMMAND_SECONDS, hear: Hear = deaf
    ) -> Result:
        """See `Shell.run`.

        The first command of a loan only reads (`Driver.look`), so it may be sent again: the first try may have come
        through on a connection of which only the answer was lost.
        """
        try:
            result = self._shell.run(argv, stdin, seconds, hear)
        except Unreachable:
            if self._fresh:
                raise
            self._fresh = True
            self._shell.close()
            self._shell = self._home.afresh(self._login)
            result = self._shell.run(argv, stdin, seconds, hear)
        self._fresh = True
        return result

    def is_open(self) -> bool:
        """See `Shell.is_open`."""
        return self._shell.is_open()

    def close(self) -> None:
        """Give it back."""
        with contextlib.suppress(OSError):
            self._home.give_back(self._login, self._shell)
