"""Forget what nobody will ask for again. Events, subscriptions, months of traffic and tokens are kept for good."""

from __future__ import annotations

from vpnctl.app import App
from vpnctl.jobs import Mode, Report, Timer
from vpnctl.store import pruning

SUMMARY = "forget old runs, sent messages, days of traffic, measurements"
TIMER = Timer(on_calendar="*-*-* 03:47:00", cron="47 3 * * *", every=86400, jitter=600, limit=600)
BY_THE_CLOCK = True


def run(app: App, mode: Mode) -> Report:
    """Delete rows that are old enough, table by table, each in its own transaction."""
    now, counts = app.clock(), {}
    for table in pruning.TABLES:
        with app.store.write() as tx:
            counts[table] = pruning.forget(tx, table, now, dry_run=mode.dry_run)
    word = "would be deleted" if mode.dry_run else "deleted"
    return Report("prune", 0, f"{sum(counts.values())} rows {word}", counts)
