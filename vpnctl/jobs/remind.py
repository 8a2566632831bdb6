"""Remind people of the end of their subscription: 3 days and 1 day before, and at the end; trials 1 day before."""

from __future__ import annotations

from vpnctl.actions.sales import reminders
from vpnctl.app import App
from vpnctl.jobs import Mode, Report, Timer

SUMMARY = "remind people of the end of their access and traffic, admins of rent and capacity"
TIMER = Timer(on_calendar="*:7", cron="7 * * * *", every=3600, jitter=120, limit=600)
BY_THE_CLOCK = True


def run(app: App, mode: Mode) -> Report:
    """Enqueue what is due, each once; after downtime only the nearest reminder."""
    people = reminders.subscriptions(app, dry_run=mode.dry_run) + reminders.quotas(app, dry_run=mode.dry_run)
    admins = reminders.nodes(app, dry_run=mode.dry_run) + reminders.money(app, dry_run=mode.dry_run)
    word = "would be enqueued" if mode.dry_run else "enqueued"
    return Report("remind", 0, f"{people} reminders and {admins} notices {word}", {"people": people, "admins": admins})
