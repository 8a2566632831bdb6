"""Constants that are translated where they are shown."""

from __future__ import annotations


def mark(text: str) -> str:
    """Mark a constant for translation where it stands; it is translated when it is said."""
    return text
