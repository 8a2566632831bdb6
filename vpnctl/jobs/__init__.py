"""Verbs on a timer. A new job is a module here and a line in `NAMES`.

Each is idempotent: run twice, run late, killed and run again, the end state is that of one good run.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, replace
from datetime import datetime
from importlib import import_module
from typing import Any

import sqlalchemy as sa

from vpnctl.actions.exclusive import exclusive
from vpnctl.actions.fleet import clock
from vpnctl.actions.talk import alerts
from vpnctl.app import App
from vpnctl.errors import Busy, InvalidInput, Stopped, VpnctlError
from vpnctl.reports.status import AHEAD
from vpnctl.rules.grammar import clean
from vpnctl.store import models, outbox

NAMES = ("sync", "expire", "usage", "health", "remind", "notify", "drift", "prune", "metrics")


@dataclass(frozen=True)
class Order:
    """How to run. `dry_run`: change and send nothing. `force`: the clock is right, whatever it looks like."""

    dry_run: bool = False
    force: bool = False


@dataclass(frozen=True)
class Report:
    """What a run did. `code` is an exit code; nodes that are only pending do not make a run fail."""

    job: str
    code: int
    what: str
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Timer:
    """When a job runs: systemd's OnCalendar, cron's fields, the same in seconds, jitter and a limit in seconds."""

    on_calendar: str
    cron: str
    every: int
    jitter: int
    limit: int

    @property
    def interval(self) -> str:
        """How often it runs, for people: `5 min`."""
        for size, unit in ((86400, "day"), (3600, "h"), (60, "min")):
            if self.every % size == 0:
                count = self.every // size
                return f"{count} {unit}{'s' if unit == 'day' and count > 1 else ''}"
        return f"{self.every} s"


def module(name: str) -> Any:
    """Return the module of a job; InvalidInput when there is none of that name."""
    if name not in NAMES:
        raise InvalidInput(f"'{clean(name)}' is not a job", f"one of: {', '.join(NAMES)}")
    return import_module(f"vpnctl.jobs.{name}")


@dataclass(frozen=True)
class JobOverview:
    """A job in a list, with its last run. `due`: its time has come again."""

    job: str
    summary: str
    every: str
    """When systemd starts it, as it writes that."""
    interval: str
    last_started_at: datetime | None
    last_finished_at: datetime | None
    last_code: int | None
    due: bool


@dataclass(frozen=True)
class Run:
    """One run in the history. Without an end it was killed, or is still at work."""

    job: str
    started_at: datetime
    finished_at: datetime | None
    code: int | None
    what: str


def overview(app: App) -> list[JobOverview]:
    """Return every job and its last run."""
    table = models.job_run.c
    past = table.started_at <= app.clock() + AHEAD  # what a clock that ran ahead has noted is not the last run
    found = []
    with app.store.read() as tx:
        for name in NAMES:
            query = sa.select(table.started_at, table.finished_at, table.code).where(table.job == name, past)
            last = tx.execute(query.order_by(table.started_at.desc()).limit(1)).first()
            job = module(name)
            began, ended, code = last or (None, None, None)
            timer, due_now = job.TIMER, _is_due(app, job.TIMER, began)
            found.append(JobOverview(name, job.SUMMARY, timer.on_calendar, timer.interval, began, ended, code, due_now))
    return found


def _is_due(app: App, timer: Timer, last: datetime | None) -> bool:
    """Return whether the time has come again; a last run in the future means that the clock went back."""
    if last is None:
        return True
    passed = (app.clock() - last).total_seconds()
    return passed < -timer.every or passed >= timer.every - min(_SLACK, timer.every / 2)


_SLACK = 30.0
"""Seconds; a run that begins this much early, as jitter makes it, is on time."""


def due(app: App) -> list[str]:
    """Return the jobs whose time has come, in the order in which they should run."""
    return [each.job for each in overview(app) if each.due]


def history(app: App, name: str | None, limit: int) -> list[Run]:
    """Return the last runs, newest first."""
    table = models.job_run.c
    where = [table.job == name] if name else []
    query = sa.select(table.job, table.started_at, table.finished_at, table.code, table.detail).where(*where)
    with app.store.read() as tx:
        rows = tx.execute(query.order_by(table.started_at.desc()).limit(limit)).all()
    return [Run(job, began, ended, code, (detail or {}).get("what", "")) for job, began, ended, code, detail in rows]


def run(app: App, name: str, order: Order | None = None) -> Report:
    """Run one job under its own lock and record the run.

    Raises Busy when it is running already, Stopped when the clock jumped and the job goes by the clock. Every other
    run that went well notes the clock and tells the dead man's switch.
    """
    job, how = module(name), order or Order()
    acting = replace(app, actor=f"job:{name}")
    taken = Busy(f"the job {name} is running already", "nothing to do: it finishes by itself")
    with exclusive(app, f"job-{name}", taken):
        if how.dry_run:
            report: Report = job.run(acting, how)
            return report
        jump = "" if how.force else clock.jump(app)  # before this run is noted, which would vouch for the clock
        run_id = _begin(acting, name)
        try:
            if jump and getattr(job, "BY_THE_CLOCK", False):
                raise Stopped(f"{jump}; nothing was done", f"if the clock is right now: vpnctl jobs run {name} --yes")
            if not jump:
                clock.note(app)
            report = job.run(acting, how)
        except VpnctlError as error:
            _end(acting, run_id, Report(name, error.code, error.what))
            raise
        _end(acting, run_id, report)
    if report.code == 0:
        alerts.heartbeat(app)
    return report


def _begin(app: App, name: str) -> str:
    run_id = str(uuid.uuid4())
    with app.store.write() as tx:
        tx.execute(sa.insert(models.job_run).values(id=run_id, job=name, started_at=app.clock()))
    return run_id


def _end(app: App, run_id: str, report: Report) -> None:
    done = {"finished_at": app.clock(), "code": report.code, "detail": report.detail | {"what": report.what}}
    with app.store.write() as tx:
        tx.execute(sa.update(models.job_run).where(models.job_run.c.id == run_id).values(**done))


def failed(app: App, name: str) -> int:
    """Tell the admins that a timer's run, or the bot, failed, once an hour; systemd's OnFailure calls this.

    Return new messages.
    """
    if name != "bot":
        module(name)
    now = app.clock()
    text = {"job": name, "at": now.isoformat(timespec="seconds")}
    with app.store.write() as tx:
        kind = "bot_failed" if name == "bot" else "job_failed"
        messages = alerts.technical(app, kind, name, f"{now:%Y%m%d%H}", text)
        return outbox.enqueue(tx, messages, now)
