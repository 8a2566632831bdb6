"""Amounts of data as people write and read them."""

from __future__ import annotations

import re

from vpnctl.errors import InvalidInput
from vpnctl.rules.grammar import clean

_SIZE = re.compile(r"([0-9]{1,9})(?: ?([KMGT])(i?)B)?")


_BYTES = re.compile(r"[0-9]{1,18}")


def size(text: str) -> int:
    """Return the bytes that `text` writes: `100 GiB`, `500 MB` or a plain number."""
    if _BYTES.fullmatch(text.strip()):
        return int(text)
    found = _SIZE.fullmatch(text.strip())
    if not found:
        raise InvalidInput(f"'{clean(text)}' is not an amount of traffic", "for example 100 GiB, 500 MB, 1 TiB")
    base = 1024 if found[3] else 1000
    power = " KMGT".index(found[2]) if found[2] else 0
    return int(int(found[1]) * base**power)


def written_size(number: int) -> str:
    """Return a number of bytes as people write it and `size` reads it back, exactly: `500 GiB`, `1500 MB`."""
    units = [
        (base**power, f"{prefix}{end}") for base, end in ((1024, "iB"), (1000, "B")) for power, prefix in _PREFIXES
    ]
    fit = [(each, unit) for each, unit in units if number % each == 0 and 0 < number // each < 10**9]
    if not fit:
        return str(number)
    factor, unit = max(fit)
    return f"{number // factor} {unit}"


_PREFIXES = ((1, "K"), (2, "M"), (3, "G"), (4, "T"))


def human_size(number: int) -> str:
    """Return a number of bytes in the largest unit that leaves at least 1."""
    size = float(number)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:  # noqa: PLR2004
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
