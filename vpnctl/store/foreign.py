"""Databases of other programs, read only."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from vpnctl.errors import InvalidInput
from vpnctl.store.file import read_only_url


def wg_easy(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the interface and the clients in wg-easy 15's database. InvalidInput where it is another one."""
    uri = read_only_url(path).removeprefix("sqlite:///").removesuffix("&uri=true")
    try:
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            server = connection.execute("SELECT * FROM interfaces_table ORDER BY name LIMIT 1").fetchone()
            clients = connection.execute("SELECT * FROM clients_table ORDER BY id").fetchall()
    except sqlite3.Error:
        server, clients = None, []
    if server is None:
        raise InvalidInput("that is not wg-easy's database", "wg-easy.db, in the volume of its container")
    return dict(server), [dict(each) for each in clients]
