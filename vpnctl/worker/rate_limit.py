"""At most so many messages a second over all chats (core.telegram.org/bots/faq): threads and processes share it."""

from __future__ import annotations

import os
import struct
import threading
import time
from contextlib import nullcontext, suppress
from pathlib import Path

from vpnctl import filelock
from vpnctl.settings import Settings

SEVERAL = (3, 5.0)
"""So many full chats within so many seconds."""
FAR = 15.0
"""A turn that is further away was noted before a reboot."""
_FORM = struct.Struct("d")


def shared_rate_limit(settings: Settings) -> RateLimit:
    """Return the limit that all processes of this machine share."""
    return RateLimit(settings.telegram_rate, settings.state_dir / "locks" / "telegram")


class RateLimit:
    """Turns to send. With a `file`, processes of this machine share them; it holds the next free moment."""

    def __init__(self, per_second: float, file: Path | None = None) -> None:
        self._gap = 1 / per_second
        self._lock = threading.Lock()
        self._next = 0.0
        self._full: dict[int, float] = {}
        self._handle: int | None = None
        if file is not None:
            with suppress(OSError):
                file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                self._handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)

    def wait(self) -> None:
        """Wait for one's turn."""
        now = time.monotonic()
        time.sleep(self._move(now, 0.0) - now)

    def full(self, chat: int, seconds: float) -> None:
        """A chat takes no more for some seconds. Several of them at once mean that it is all of us: nobody sends."""
        now = time.monotonic()
        with self._lock:
            self._full = {each: until for each, until in self._full.items() if until > now} | {chat: now + SEVERAL[1]}
            several = len(self._full) >= SEVERAL[0]
        if several:
            self._move(now, min(seconds, SEVERAL[1]))

    def _move(self, now: float, pause: float) -> float:
        """Take the next turn, not before `pause` is over; return its moment."""
        with self._lock, filelock.within(self._handle) if self._handle is not None else nullcontext():
            mine = max(now + pause, self._noted(now))
            self._note(mine + self._gap)
            return mine

    def _noted(self, now: float) -> float:
        if self._handle is not None:
            with suppress(OSError):
                raw = os.pread(self._handle, _FORM.size, 0)
                self._next = _FORM.unpack(raw)[0] if len(raw) == _FORM.size else 0.0
        return self._next if self._next < now + FAR else now

    def _note(self, moment: float) -> None:
        self._next = moment
        if self._handle is not None:
            with suppress(OSError):  # a full disk stops no reply
                os.pwrite(self._handle, _FORM.pack(moment), 0)
