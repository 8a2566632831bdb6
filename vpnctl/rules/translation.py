"""Constants that are translated where they are shown."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Persian:
    """How numbers and dates are written in Persian texts: in Persian `digits`, by the Solar Hijri calendar."""

    digits: bool = True
    solar: bool = True


def mark(text: str) -> str:
    """Mark a constant for translation where it stands; it is translated when it is said."""
    return text
