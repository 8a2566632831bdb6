"""Options that are given as NAME=VALUE."""

from __future__ import annotations

from vpnctl.errors import InvalidInput
from vpnctl.rules.grammar import clean


def named_options(given: list[str] | None) -> dict[str, str]:
    """Return them by name. InvalidInput for what is no such thing, or given twice."""
    found: dict[str, str] = {}
    for text in given or []:
        name, mark, value = text.partition("=")
        if not mark or not name or name in found:
            raise InvalidInput(f"'{clean(text)}' is no NAME=VALUE, or its name is given twice", "--option jc=4")
        found[name] = value
    return found
