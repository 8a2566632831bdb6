"""A message and the buttons under it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Choice:
    """A button: what it says, never markup, and what it does, or the page that it opens."""

    label: str
    action: str = ""
    args: dict[str, Any] = field(default_factory=dict)
    url: str = ""


@dataclass(frozen=True)
class Letter:
    """A message, plain text, and the buttons under it."""

    text: str
    choices: tuple[Choice, ...] = ()
