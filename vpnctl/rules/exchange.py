"""A request over HTTP and its answer, as values: who knows what to ask need not know how it is sent. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class HttpCall:
    """What is sent. Addresses, headers and bodies may hold secrets: none of them is shown."""

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True)
class HttpAnswer:
    """What came back, also for a refusal."""

    status: int
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


Exchange = Callable[[HttpCall], HttpAnswer]
"""Sends a request. Raises OSError when nobody answers in time, or not wholly."""
