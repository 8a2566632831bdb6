"""Reading: the service on one page, events, jobs, requests, messages."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query

from vpnctl import jobs
from vpnctl.jobs import JobOverview
from vpnctl.reports import asking, audit, notices, status
from vpnctl.reports.asking import RequestView
from vpnctl.reports.audit import EventView
from vpnctl.reports.notices import NoticeView
from vpnctl.reports.status import Status
from vpnctl.rules.scopes import Scope
from vpnctl.store.runs import Run
from vpnctl.web.access import Served, needs
from vpnctl.web.api.shapes import PLAIN, Limit, Page, page

SeqAfter = Annotated[int, Query(ge=0, lt=2**63, description="Only events behind this `seq`, oldest first.")]
Part = Annotated[str, Query(max_length=110, pattern=PLAIN)]
State = Annotated[str, Query(pattern="^(waiting|sent|failed|)$")]
Job = Annotated[str, Path(pattern=f"^({'|'.join(jobs.NAMES)})$")]
router = APIRouter(dependencies=[Depends(needs(Scope.READ))], tags=["service"])


@router.get("/status", response_model=Status)
def one_page(app: Served) -> Any:
    """The service on one page: totals, and what needs a person."""
    with app.store.read() as tx:
        return status.page(tx, app.clock(), app.settings.key_file)


@router.get("/events", response_model=Page[EventView])
def events(app: Served, after: SeqAfter = 0, subject: Part = "", verb: Part = "", limit: Limit = 50) -> Any:
    """The audit, oldest first; whoever keeps the last `seq` misses none."""
    with app.store.read() as tx:
        rows = audit.behind(tx, after, subject=subject, verb=verb, limit=limit + 1)
    return page(rows, limit, lambda row: str(row.seq))


@router.get("/requests", response_model=list[RequestView])
def requests(app: Served, decided: bool = False, limit: Limit = 50) -> Any:
    """What people asked the bot for."""
    with app.store.read() as tx:
        return asking.requests(tx, decided=decided, limit=limit)


@router.get("/notices", response_model=list[NoticeView])
def messages(app: Served, state: State = "", limit: Limit = 50) -> Any:
    """The newest messages to people and admins."""
    with app.store.read() as tx:
        return notices.listed(tx, app.settings.zone, state=state, limit=limit)


@router.get("/jobs", response_model=list[JobOverview])
def overview(app: Served) -> Any:
    """Every job and its last run."""
    return jobs.overview(app)


@router.get("/jobs/{name}/runs", response_model=list[Run])
def runs(app: Served, name: Job, limit: Limit = 50) -> Any:
    """The last runs of a job, the newest first."""
    jobs.module(name)
    return jobs.history(app, name, limit)
