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


def changed_options(given: list[str] | None, taken_back: list[str] | None) -> dict[str, str | None]:
    """Return options by name, None for those that are taken back. InvalidInput where one is to be both."""
    found = named_options(given)
    both = [name for name in taken_back or [] if name in found]
    if both:
        raise InvalidInput(f"{clean(both[0])} cannot be set and taken back at once", "leave --option or --unset out")
    return {**found, **dict.fromkeys(taken_back or [])}
