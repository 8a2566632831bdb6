"""Lists in files: one item a line, `#` begins a comment."""

from __future__ import annotations

import sys
from pathlib import Path

from vpnctl.errors import InvalidInput


def read_lines(source: Path | None) -> list[str]:
    """Return the items of a file (`-`: stdin); nothing when none is named."""
    if source is None:
        return []
    try:
        text = sys.stdin.read() if str(source) == "-" else source.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(
            f"cannot read {source}: {getattr(error, 'strerror', None) or 'not UTF-8 text'}",
            "name a text file, or - for stdin",
        ) from None
    items = [line.split("#")[0].strip() for line in text.split("\n")]
    return [item for item in items if item]
