"""Compare every node with the database, send a packet through it, and tell the technical chat what is not right."""

from __future__ import annotations

from collections.abc import Sequence

from vpnctl.actions.fleet.preview import drift
from vpnctl.actions.fleet.settle import Wish
from vpnctl.actions.talk import alerts
from vpnctl.app import App
from vpnctl.jobs import Mode, Report, Timer
from vpnctl.rules.changes import SYSTEM, Change
from vpnctl.store import models, outbox
from vpnctl.store.queue import pending_nodes
from vpnctl.store.rows import Node

SUMMARY = "report what was changed on nodes by hand"
TIMER = Timer(on_calendar="*-*-* 04:23:00", cron="23 4 * * *", every=86400, jitter=600, limit=900)
SHOWN = 5


def run(app: App, mode: Mode) -> Report:
    """What waits to be made by us is no drift; what differs without that is, once a day and node."""
    now = app.clock()
    with app.store.read() as tx:
        waiting = set(pending_nodes(tx, now))
        ids = [node.id for node in tx.all(Node, models.node.c.retired_at.is_(None)) if node.id not in waiting]
    found = drift(app, ids, Wish(scope=SYSTEM, prove=not mode.dry_run))
    drifted = [each for each in found if each.changes or each.notes]
    messages = []
    for each in drifted:
        for kind, wrong in (("drift", each.changes), ("not_ours", each.notes)):
            details = {"node": each.node, "changes": _listed(wrong)}
            messages += alerts.technical(app, kind, each.node_id, f"{now:%Y%m%d}", details) if wrong else []
    if not mode.dry_run:
        with app.store.write() as tx:
            outbox.enqueue(tx, messages, now)
    silent = {each.node: each.error for each in found if each.code}
    detail = {"drifted": [each.node for each in drifted], "pending": silent}
    return Report("drift", 0, f"{len(found)} nodes compared, {len(drifted)} differ", detail)


def _listed(changes: Sequence[Change]) -> str:
    more = f" and {len(changes) - SHOWN} more" if len(changes) > SHOWN else ""
    return ", ".join(str(change) for change in changes[:SHOWN]) + more
