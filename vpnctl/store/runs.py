"""Runs of jobs: when each began, when it ended, and how."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from vpnctl.store import models
from vpnctl.store.engine import Tx

_run = models.job_run.c


@dataclass(frozen=True)
class Run:
    """One run in the history. Without an end it was killed, or is still at work."""

    job: str
    started_at: datetime
    finished_at: datetime | None
    code: int | None
    what: str


def last(tx: Tx, job: str, before: datetime) -> Run | None:
    """Return a job's last run that began before then."""
    found = _found(tx, _run.job == job, _run.started_at <= before, limit=1)
    return found[0] if found else None


def history(tx: Tx, job: str | None, limit: int) -> list[Run]:
    """Return the last runs, newest first; of one job, or of all."""
    return _found(tx, *([_run.job == job] if job else []), limit=limit)


def _found(tx: Tx, *where: Any, limit: int) -> list[Run]:
    query = sa.select(_run.job, _run.started_at, _run.finished_at, _run.code, _run.detail).where(*where)
    rows = tx.execute(query.order_by(_run.started_at.desc()).limit(limit)).all()
    return [Run(job, began, ended, code, (detail or {}).get("what", "")) for job, began, ended, code, detail in rows]


def begin(tx: Tx, job: str, now: datetime) -> str:
    """Note that a job begins; return the run's id."""
    run_id = str(uuid.uuid4())
    tx.execute(sa.insert(models.job_run).values(id=run_id, job=job, started_at=now))
    return run_id


def end(tx: Tx, run_id: str, now: datetime, code: int, detail: dict[str, Any]) -> None:
    """Note how a run ended."""
    done = {"finished_at": now, "code": code, "detail": detail}
    tx.execute(sa.update(models.job_run).where(_run.id == run_id).values(**done))
