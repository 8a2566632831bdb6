"""Verbs on a timer. A new job is a module here and a line in `NAMES`."""

from __future__ import annotations

import fcntl
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from importlib import import_module
from typing import Any

import sqlalchemy as sa

from vpnctl.app import App
from vpnctl.errors import Busy, InvalidInput
from vpnctl.rules.grammar import clean
from vpnctl.store import models

NAMES = ("sync",)


@dataclass(frozen=True)
class Report:
    """What a run did. `code` is an exit code; nodes that are only pending do not make a run fail."""

    job: str
    code: int
    what: str
    detail: dict[str, Any]


@dataclass(frozen=True)
class Timer:
    """When a job runs: systemd's OnCalendar, cron's fields, a limit in seconds."""

    on_calendar: str
    cron: str
    jitter: int
    limit: int


def module(name: str) -> Any:
    """Return the module of a job; InvalidInput when there is none of that name."""
    if name not in NAMES:
        raise InvalidInput(f"'{clean(name)}' is not a job", f"one of: {', '.join(NAMES)}")
    return import_module(f"vpnctl.jobs.{name}")


@dataclass(frozen=True)
class Overview:
    """A job in a list, with its last run."""

    job: str
    summary: str
    every: str
    last_started_at: datetime | None
    last_finished_at: datetime | None
    last_code: int | None


def overview(app: App) -> list[Overview]:
    """Return every job and its last run."""
    table = models.job_run.c
    found = []
    with app.store.read() as tx:
        for name in NAMES:
            query = sa.select(table.started_at, table.finished_at, table.code).where(table.job == name)
            last = tx.execute(query.order_by(table.started_at.desc()).limit(1)).first()
            job = module(name)
            found.append(Overview(name, job.SUMMARY, job.TIMER.on_calendar, *(last or (None, None, None))))
    return found


def run(app: App, name: str) -> Report:
    """Run one job under its own lock and record the run. Raises Busy when it is running already."""
    job = module(name)
    acting = replace(app, actor=f"job:{name}")
    with _alone(app, name):
        run_id = str(uuid.uuid4())
        with app.store.write() as tx:
            tx.execute(sa.insert(models.job_run).values(id=run_id, job=name, started_at=app.clock()))
        report: Report = job.run(acting)
        with app.store.write() as tx:
            done = {"finished_at": app.clock(), "code": report.code, "detail": report.detail}
            tx.execute(sa.update(models.job_run).where(models.job_run.c.id == run_id).values(**done))
    return report


@contextmanager
def _alone(app: App, name: str) -> Iterator[None]:
    folder = app.settings.state_dir / "locks"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(folder / f"job-{name}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise Busy(f"the job {name} is running already", "nothing to do: it finishes by itself") from None
    finally:
        os.close(handle)
