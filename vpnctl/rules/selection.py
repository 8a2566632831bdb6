"""Whom a command means when it means many: `plan=month,node=helsinki`. Pure."""

from __future__ import annotations

from dataclasses import dataclass, fields

from vpnctl.errors import InvalidInput
from vpnctl.rules.grammar import clean


@dataclass(frozen=True)
class Selection:
    """All that is given must hold. Empty texts say nothing."""

    plan: str = ""
    """Of the subscription that covers now."""
    node: str = ""
    region: str = ""
    protocol: str = ""
    device: str = ""
    user: str = ""
    """What the name begins with, where it ends in `*`; else the name."""


KEYS = tuple(each.name for each in fields(Selection))


def parse(text: str) -> Selection:
    """Return what `KEY=VALUE[,KEY=VALUE…]` selects. InvalidInput for a key that there is not, or one given twice."""
    found: dict[str, str] = {}
    for part in text.split(","):
        key, mark, value = part.strip().partition("=")
        if key not in KEYS or not mark or not value or key in found:
            raise InvalidInput(
                f"'{clean(part)}' selects nothing, or is given twice",
                f"KEY=VALUE with commas between, of: {', '.join(KEYS)}; such as plan=month,node=helsinki",
            )
        found[key] = value
    return Selection(**found)
