"""Tell what time and traffic brought, and settle the nodes that it concerns."""

from __future__ import annotations

from collections import Counter

from vpnctl.actions.sales import transitions
from vpnctl.app import App
from vpnctl.jobs import Mode, Report, Timer
from vpnctl.jobs.settling import pending, report

SUMMARY = "record expiry, quota and renewal; cut and reconnect"
TIMER = Timer(on_calendar="*:2/10", cron="2-59/10 * * * *", every=600, jitter=30, limit=480)
BY_THE_CLOCK = True


def run(app: App, mode: Mode) -> Report:
    """Write the events that are due, then make the nodes agree; a node that is down is cut when it is back."""
    counts: Counter[str] = Counter() if mode.dry_run else transitions.note(app)
    settled = pending(app, mode)
    return report("expire", settled, len(settled), counts, dry_run=mode.dry_run)
