"""Workers as rows: which of them live."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from vpnctl.store import models
from vpnctl.store.engine import Tx
from vpnctl.store.serving_rows import WorkerRow

SILENT = timedelta(seconds=45)
"""Not heard of for so long, a worker is not there any more, or cannot reach the database."""


@dataclass(frozen=True)
class WorkerView:
    """A worker in a list. `state`: works, silent or stopped."""

    host: str
    pid: int
    state: str
    started_at: datetime
    seen_at: datetime
    settled: int
    """Nodes that it changed and saw agree."""
    connections: int
    id: str


def workers(tx: Tx, now: datetime, *, stopped: bool = False) -> list[WorkerView]:
    """Return the workers, those that started first first."""
    where = [] if stopped else [models.worker.c.stopped_at.is_(None)]
    rows = tx.all(WorkerRow, *where, order=models.worker.c.started_at)
    return [
        WorkerView(
            row.host, row.pid, _state(row, now), row.started_at, row.seen_at, row.settled, row.connections, row.id
        )
        for row in rows
    ]


def _state(row: WorkerRow, now: datetime) -> str:
    if row.stopped_at is not None:
        return "stopped"
    return "silent" if now - row.seen_at > SILENT else "works"
