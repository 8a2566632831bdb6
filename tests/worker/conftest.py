"""Two machines that share a database: apps of their own on one PostgreSQL server, over the same in-memory nodes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.sales.conftest import filled  # noqa: F401 - a fixture
from tests.support.postgres import database
from vpnctl.app import App, open_app


@pytest.fixture
def machines(app: App, postgres: str, filled: str, tmp_path: Path) -> Iterator[Any]:  # noqa: F811
    """Return what makes one more machine on the same database: another state folder, other connections."""
    url = database(postgres, filled)
    opened: list[App] = []

    def machine() -> App:
        home = tmp_path / f"machine{len(opened)}"
        settings = replace(app.settings, database_url=url, state_dir=home)
        home.mkdir()
        opened.append(open_app(settings, "cli:test"))
        made = opened[-1]
        return replace(made, clock=app.clock, uptime=app.uptime, connect=app.connect, shake=app.shake)

    yield machine
    for each in opened:
        each.store.close()
