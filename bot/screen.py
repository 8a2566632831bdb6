"""What the bot shows: a text in Telegram's HTML, rows of buttons, a toast for who pressed one. Pure."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass

from vpnctl.texts.letter import Choice

Rows = tuple[tuple[Choice, ...], ...]
LONGEST, LONGEST_TOAST, LONGEST_LABEL = 4096, 200, 40
"""Characters that Telegram takes for a text (after entities) and a toast; a label that fits a phone."""
_TAG = re.compile(r"<[^>]*>")


@dataclass(frozen=True)
class Screen:
    """One screen. Without a text only the toast is shown, and the message stays as it is."""

    text: str = ""
    rows: Rows = ()
    toast: str = ""
    alert: bool = False
    """The toast must be closed by hand."""


def fitted(text: str, longest: int = LONGEST) -> str:
    """Return whole lines of HTML that fit one message; no tag of ours spans two lines."""
    kept: list[str] = []
    room = longest - 2
    for line in text.split("\n"):
        room -= len(plain(line)) + 1
        if room < 0:
            return "\n".join([*kept, "…"])
        kept.append(line)
    return text


def plain(text: str) -> str:
    """Return HTML of ours as plain text."""
    return html.unescape(_TAG.sub("", text))


def label(text: str) -> str:
    """Return a button's label that fits."""
    return text if len(text) <= LONGEST_LABEL else text[: LONGEST_LABEL - 1] + "…"


def grid(choices: Sequence[Choice], columns: int = 2) -> Rows:
    """Return buttons in rows."""
    return tuple(tuple(choices[start : start + columns]) for start in range(0, len(choices), columns))


def lines(*parts: str) -> str:
    """Return the parts that are there, a line each."""
    return "\n".join(filter(None, parts))
