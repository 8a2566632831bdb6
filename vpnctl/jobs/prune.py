"""Forget what nobody will ask for again. Events, subscriptions, months of traffic and tokens are kept for good."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from vpnctl.app import App
from vpnctl.jobs import Order, Report, Timer
from vpnctl.store import models

SUMMARY = "forget old runs, sent messages, days of traffic, measurements"
TIMER = Timer(on_calendar="*-*-* 03:47:00", cron="47 3 * * *", every=86400, jitter=600, limit=600)
BY_THE_CLOCK = True
TALK = timedelta(days=2)
RUNS, NOTICES, DAYS, MEASUREMENTS = timedelta(days=30), timedelta(days=90), timedelta(days=400), timedelta(days=180)


def run(app: App, order: Order) -> Report:
    """Delete rows that are old enough; the last run of every job stays, it says when the next one is due."""
    now = app.clock()
    run_, notice = models.job_run.c, models.notice.c
    last = sa.select(sa.func.max(run_.started_at)).group_by(run_.job)
    doomed: dict[str, tuple[sa.Table, tuple[Any, ...]]] = {
        "job_run": (models.job_run, (run_.started_at < now - RUNS, run_.started_at.not_in(last))),
        "notice": (
            models.notice,
            (notice.created_at < now - NOTICES, sa.or_(notice.sent_at.is_not(None), notice.failed_at.is_not(None))),
        ),
        "usage": (models.usage, (models.usage.c.day < (now - DAYS).date(),)),
        "inbox": (models.inbox, (models.inbox.c.received_at < now - TALK, models.inbox.c.answered_at.is_not(None))),
        "button": (models.button, (models.button.c.expires_at < now - TALK,)),
        "applicant": (models.applicant, (models.applicant.c.seen_at < now - RUNS,)),
        "invite": (models.invite, (models.invite.c.expires_at < now - RUNS,)),
        "request": (models.request, (models.request.c.decided_at < now - NOTICES,)),
        "measurement": (models.measurement, (models.measurement.c.at < now - MEASUREMENTS,)),
    }
    counts = {}
    for name, (table, where) in doomed.items():
        with app.store.write() as tx:
            count = tx.execute(sa.select(sa.func.count()).select_from(table).where(*where)).scalar() or 0
            if count and not order.dry_run:
                tx.execute(sa.delete(table).where(*where))
        counts[name] = count
    word = "would be deleted" if order.dry_run else "deleted"
    return Report("prune", 0, f"{sum(counts.values())} rows {word}", counts)
