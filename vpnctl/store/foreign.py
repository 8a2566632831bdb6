"""Databases of other programs, read only."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from vpnctl.errors import InvalidInput
from vpnctl.store.file import read_only_url


def tables(path: Path, names: Sequence[str]) -> list[list[dict[str, Any]]]:
    """Return the rows of these tables of a SQLite file. InvalidInput where it has no such tables."""
    uri = read_only_url(path).removeprefix("sqlite:///").removesuffix("&uri=true")
    try:
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            return [[dict(row) for row in connection.execute(f'SELECT * FROM "{name}"')] for name in names]  # noqa: S608
    except sqlite3.Error:
        raise InvalidInput(
            f"that database has no tables {', '.join(names)}", "name the one that docs/adopting.md speaks of"
        ) from None
