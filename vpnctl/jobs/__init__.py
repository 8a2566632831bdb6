"""Verbs on a timer. A new job is a module here and a line in `NAMES`.

Each is idempotent: run twice, run late, killed and run again, the end state is that of one good run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from importlib import import_module
from typing import Any

from vpnctl.actions.exclusive import exclusive
from vpnctl.actions.fleet import clock
from vpnctl.actions.talk import alerts
from vpnctl.app import App
from vpnctl.errors import Busy, InvalidInput, Stopped, VpnctlError
from vpnctl.reports.status import AHEAD
from vpnctl.rules.grammar import clean
from vpnctl.store import outbox, restored, runs
from vpnctl.store.rows import Node
from vpnctl.store.runs import Run

NAMES = (
    "sync",
    "expire",
    "usage",
    "health",
    "evacuate",
    "remind",
    "payments",
    "notify",
    "drift",
    "prune",
    "backup",
    "metrics",
)


@dataclass(frozen=True)
class Mode:
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


def overview(app: App) -> list[JobOverview]:
    """Return every job and its last run."""
    found = []
    before = app.clock() + AHEAD  # what a clock that ran ahead has noted is not the last run
    with app.store.read() as tx:
        for name in NAMES:
            job, last = module(name), runs.last(tx, name, before)
            timer, began = job.TIMER, last.started_at if last else None
            ended, code = (last.finished_at, last.code) if last else (None, None)
            due_now = _is_due(app, timer, began)
            found.append(JobOverview(name, job.SUMMARY, timer.on_calendar, timer.interval, began, ended, code, due_now))
    return found


def _refuse_backup(app: App) -> None:
    """Nobody is told that their time is over out of a backup in which their renewal is missing."""
    with app.store.read() as tx:
        if restored.untouched(tx):
            raise Stopped(
                "this database is a backup, and nobody has decided on it; nothing was done", "vpnctl backup finish"
            )


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
    with app.store.read() as tx:
        return runs.history(tx, name, limit)


def run(app: App, name: str, mode: Mode | None = None) -> Report:
    """Run one job under its own lock and record the run.

    Raises Busy when it is running already, Stopped when the clock jumped and the job goes by the clock. Every other
    run that went well notes the clock and tells the dead man's switch.
    """
    how = mode or Mode()
    acting = replace(app, actor=f"job:{name}")
    taken = Busy(f"the job {name} is running already", "nothing to do: it finishes by itself")
    with exclusive(app, f"job-{name}", taken):
        if how.dry_run:
            report: Report = module(name).run(acting, how)
            return report
        return _recorded(acting, name, how, lambda: module(name).run(acting, how))


def splits(name: str) -> bool:
    """Return whether several workers share the rounds of a job, node by node."""
    return hasattr(module(name), "run_part")


def run_part(app: App, name: str, nodes: Sequence[Node]) -> Report:
    """Run a job for a part of the nodes, under the lease of whoever calls, and record it. Raises Stopped like `run`."""
    acting = replace(app, actor=f"job:{name}")
    return _recorded(acting, name, Mode(), lambda: module(name).run_part(acting, nodes))


def _recorded(acting: App, name: str, how: Mode, work: Callable[[], Report]) -> Report:
    """Do the work of a job unless the clock forbids it, and record the run."""
    jump = "" if how.force else clock.jump(acting)  # before this run is noted, which would vouch for the clock
    run_id = _begin(acting, name)
    try:
        if getattr(module(name), "BY_THE_CLOCK", False):
            _refuse_backup(acting)
            if jump:
                how_on = f"if the clock is right now: vpnctl jobs run {name} --yes"
                raise Stopped(f"{jump}; nothing was done", how_on)
        if not jump:
            clock.note(acting)
        report = work()
    except VpnctlError as error:
        _end(acting, run_id, Report(name, error.code, error.what))
        raise
    _end(acting, run_id, report)
    if report.code == 0:
        alerts.heartbeat(acting)
    return report


def _begin(app: App, name: str) -> str:
    with app.store.write() as tx:
        return runs.begin(tx, name, app.clock())


def _end(app: App, run_id: str, report: Report) -> None:
    with app.store.write() as tx:
        runs.end(tx, run_id, app.clock(), report.code, report.detail | {"what": report.what})


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
