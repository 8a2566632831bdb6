"""Visit every node: heal what is pending or drifted, read who is online, finish migrations."""

from __future__ import annotations

from vpnctl.actions.settle import Wish, settle
from vpnctl.app import App
from vpnctl.jobs import Report, Timer
from vpnctl.rules.changes import SYSTEM
from vpnctl.store import models
from vpnctl.store.queue import pending_nodes
from vpnctl.store.rows import Node

SUMMARY = "settle every node, heal what is pending, finish migrations"
TIMER = Timer(on_calendar="*:0/5", cron="*/5 * * * *", jitter=30, limit=240)


def run(app: App) -> Report:
    """Settle all nodes; then those where a first handshake just ended an old peer."""
    with app.store.read() as tx:
        ids = [node.id for node in tx.all(Node, models.node.c.retired_at.is_(None))]
    settled = settle(app, ids, Wish(scope=SYSTEM, always=True))
    reachable = {each.node_id for each in settled if each.code == 0}
    with app.store.read() as tx:
        again = [node_id for node_id in pending_nodes(tx, app.clock()) if node_id in reachable]
    second = settle(app, again)
    changed = sorted({each.node for each in [*settled, *second] if each.changes})
    troubles = [each for each in [*settled, *second] if each.code]
    detail = {"nodes": len(ids), "changed": changed, "pending": {each.node: each.error for each in troubles}}
    code = max((each.code for each in troubles if each.code in (6, 7)), default=0)
    what = f"{len(ids)} nodes, {len(changed)} changed, {len(troubles)} pending"
    return Report("sync", code, what, detail)
