"""The web process on loopback, over in-memory nodes; and a worker beside it where a test wants one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.website import Site, serving
from tests.support.working import working
from vpnctl.app import App
from vpnctl.worker import settling, worker


@pytest.fixture
def site(app: App) -> Iterator[Site]:
    with serving(app) as made:
        yield made


@pytest.fixture
def at_work(app: App, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A running worker."""
    monkeypatch.setattr(worker, "WATCH", 0.05)
    monkeypatch.setattr(settling, "AGAIN", 0.2)
    with working(app) as log:
        yield log


@pytest.fixture
def problem() -> Any:
    """What every refusal is: problem+json with these members."""

    def check(answer: Any, status: int, detail: str = "") -> dict[str, Any]:
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
        body = answer.json()
        assert body["status"] == status
        assert detail in body["detail"]
        return body

    return check
