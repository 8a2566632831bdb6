"""Look at every node: SSH, interfaces, handshake, vital signs; say what changed, once and merged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from vpnctl.actions.fleet import health
from vpnctl.app import App
from vpnctl.jobs import Mode, Report, Timer
from vpnctl.rules.health import BAD_AFTER, GOOD_AFTER, NodeVerdict
from vpnctl.store.rows import Node

SUMMARY = "check every node and alert on changes"
TIMER = Timer(on_calendar="*:*:00", cron="* * * * *", every=60, jitter=5, limit=50)


def run(app: App, mode: Mode) -> Report:
    """Look, remember and enqueue alerts; in a dry run only look."""
    if mode.dry_run:
        found = health.look(app)
        nodes = {each.node.name: "answers" if each.look.ssh else each.error for each in found}
        return Report("health", 0, f"{len(found)} nodes looked at", {"nodes": nodes})
    return run_part(app, None)


def run_part(app: App, nodes: Sequence[Node] | None) -> Report:
    """Look at these nodes, or at all, remember and enqueue alerts."""
    checked = health.check(app, nodes)
    counts = Counter(checked.verdicts.values())
    told = ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items())) or "no nodes"
    told += (
        f" (a verdict takes {GOOD_AFTER} good looks, or {BAD_AFTER} bad ones)" if NodeVerdict.UNKNOWN in counts else ""
    )
    told += "; our own network seems to be the trouble" if checked.own_network else ""
    return Report("health", 0, told, {"nodes": checked.verdicts, "said": list(checked.said)})
