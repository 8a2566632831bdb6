"""How often somebody may come: a bucket of tokens for each, in this process's memory."""

from __future__ import annotations

import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from vpnctl.web import problems

MANY = 10_000
"""Buckets that are kept; those that were not used longest are forgotten first."""


class TokenBuckets:
    """Each key has `burst` tokens at first and gets `rate` more a second; a request takes one."""

    def __init__(self, rate: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._burst, self._clock = rate, burst, clock
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str) -> None:
        """Take one of the key's tokens. Raises Refusal (429) when there is none, with when there will be."""
        now = self._clock()
        with self._lock:
            left, then = self._kept.pop(key, (float(self._burst), now))
            left = min(self._burst, left + (now - then) * self._rate)
            self._kept[key] = (left - 1 if left >= 1 else left, now)
            while len(self._kept) > MANY:
                self._kept.popitem(last=False)
        if left < 1:
            seconds = str(max(1, round((1 - left) / self._rate)))
            raise problems.Refusal(problems.TOO_MANY, "too many requests", headers={"Retry-After": seconds})


class Waiters:
    """How many requests wait for something at once: so many in all, and so many of each key."""

    def __init__(self, stop: threading.Event, most: int = 64, each: int = 16) -> None:
        self.stop = stop
        self._most, self._each = most, each
        self._waiting: Counter[str] = Counter()

    @contextmanager
    def one(self, key: str) -> Iterator[bool]:
        """Be one of them in a context; its value says whether there was room. For one thread."""
        allowed = self._waiting.total() < self._most and self._waiting[key] < self._each
        self._waiting[key] += allowed
        try:
            yield allowed
        finally:
            self._waiting[key] -= allowed
            self._waiting = +self._waiting
