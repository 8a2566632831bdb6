"""Visit every node: heal what is pending or drifted, read who is online, finish migrations and rotations."""

from __future__ import annotations

from vpnctl.actions.fleet import probes
from vpnctl.actions.fleet.preview import drift
from vpnctl.actions.fleet.settle import Wish, settle_and_follow_up
from vpnctl.actions.people import rotation
from vpnctl.app import App
from vpnctl.jobs import Mode, Report, Timer
from vpnctl.jobs.settling import report
from vpnctl.rules.changes import SYSTEM
from vpnctl.store import models
from vpnctl.store.rows import Node

SUMMARY = "settle every node, heal what is pending, finish migrations"
TIMER = Timer(on_calendar="*:0/5", cron="*/5 * * * *", every=300, jitter=30, limit=240)


def run(app: App, mode: Mode | None = None) -> Report:
    """Settle all nodes; then those where a first handshake or a used up quota just ended a peer."""
    how = mode or Mode()
    with app.store.read() as tx:
        ids = [node.id for node in tx.all(Node, models.node.c.retired_at.is_(None))]
    if how.dry_run:
        return report("sync", drift(app, ids, Wish(scope=SYSTEM)), len(ids), dry_run=True)
    rotation.end(app)
    probes.ensure(app, ids)
    return report("sync", settle_and_follow_up(app, ids, Wish(scope=SYSTEM, always=True)), len(ids))
