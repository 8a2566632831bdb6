"""Rows that nobody will ask for again. Events, subscriptions, months of traffic and tokens are kept for good."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from vpnctl.store import models
from vpnctl.store.engine import Tx

TALK = timedelta(days=2)
RUNS, NOTICES, DAYS, MEASUREMENTS = timedelta(days=30), timedelta(days=90), timedelta(days=400), timedelta(days=180)
TABLES = (
    "job_run",
    "notice",
    "usage",
    "inbox",
    "button",
    "applicant",
    "invite",
    "request",
    "measurement",
    "webhook_event",
    "prompt",
    "api_run",
    "lease",
    "worker",
)


def forget(tx: Tx, table: str, now: datetime, *, dry_run: bool = False) -> int:
    """Delete the rows of a table that are old enough; return how many. With `dry_run` they are only counted.

    The last run of every job stays: it says when the next one is due.
    """
    there, where = models.metadata.tables[table], _old(table, now)
    count = tx.execute(sa.select(sa.func.count()).select_from(there).where(*where)).scalar() or 0
    if count and not dry_run:
        tx.execute(sa.delete(there).where(*where))
    return count


def _old(table: str, now: datetime) -> tuple[Any, ...]:
    run, notice, inbox = models.job_run.c, models.notice.c, models.inbox.c
    last = sa.select(sa.func.max(run.started_at)).group_by(run.job)
    told = sa.or_(notice.sent_at.is_not(None), notice.failed_at.is_not(None))
    old: dict[str, tuple[Any, ...]] = {
        "job_run": (run.started_at < now - RUNS, run.started_at.not_in(last)),
        "notice": (notice.created_at < now - NOTICES, told),
        "usage": (models.usage.c.day < (now - DAYS).date(),),
        "inbox": (inbox.received_at < now - TALK, inbox.answered_at.is_not(None)),
        "button": (models.button.c.expires_at < now - TALK,),
        "applicant": (models.applicant.c.seen_at < now - RUNS,),
        "invite": (models.invite.c.expires_at < now - RUNS,),
        "request": (models.request.c.decided_at < now - NOTICES,),
        "measurement": (models.measurement.c.at < now - MEASUREMENTS,),
        "webhook_event": (models.webhook_event.c.handled_at < now - NOTICES,),
        "prompt": (models.prompt.c.expires_at < now,),
        "api_run": (models.api_run.c.created_at < now - RUNS,),
        "lease": (models.lease.c.until < now - TALK,),
        "worker": (models.worker.c.seen_at < now - TALK,),
    }
    return old[table]
