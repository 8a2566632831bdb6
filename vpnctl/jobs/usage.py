"""Read every node's counters into the ledger, and settle where a quota is used up."""

from __future__ import annotations

from collections.abc import Sequence

from vpnctl.actions.fleet.metering import sweep
from vpnctl.actions.sales import transitions
from vpnctl.app import App
from vpnctl.jobs import Mode, Report, Timer
from vpnctl.jobs.settling import pending, report
from vpnctl.store.rows import Node

SUMMARY = "read traffic into the ledger, keep quotas"
TIMER = Timer(on_calendar="*:3/5", cron="3-59/5 * * * *", every=300, jitter=20, limit=240)
BY_THE_CLOCK = True


def run(app: App, mode: Mode) -> Report:
    """Book what passed since the last reading; a node that does not answer is read the next time, nothing is lost."""
    if mode.dry_run:
        settled = pending(app, mode)
        return report("usage", settled, len(settled), {}, dry_run=True)
    return run_part(app, None)


def run_part(app: App, nodes: Sequence[Node] | None) -> Report:
    """Book what passed these nodes, or all, since the last reading; settle where a quota is used up."""
    read = sweep(app, nodes)
    counts = transitions.note(app)
    unread = [each for each in read if each.code]
    return report("usage", [*unread, *pending(app, Mode())], len(read), counts)
