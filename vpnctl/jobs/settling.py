"""What jobs that settle nodes have in common: settling what is pending, and telling how it came out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vpnctl.actions.fleet.preview import drift
from vpnctl.actions.fleet.settle import Wish, settle
from vpnctl.actions.outcome import Settled
from vpnctl.app import App
from vpnctl.errors import PENDING, worst
from vpnctl.jobs import Mode, Report
from vpnctl.store.queue import pending_nodes


def pending(app: App, mode: Mode) -> list[Settled]:
    """Settle the nodes that are not known to agree; in a dry run say what that would change."""
    with app.store.read() as tx:
        ids = pending_nodes(tx, app.clock())
    return drift(app, ids, Wish()) if mode.dry_run else settle(app, ids)


def report(
    job: str, settled: Sequence[Settled], nodes: int, counts: Mapping[str, int] | None = None, *, dry_run: bool = False
) -> Report:
    """Return the report of a run. Nodes that are only pending leave it a good one; a brake or distrust does not."""
    changed = sorted({each.node for each in settled if each.changes})
    troubles = [each for each in settled if each.code]
    detail: dict[str, Any] = {
        "nodes": nodes,
        "changed": changed,
        "pending": {each.node: each.error for each in troubles},
    }
    detail |= {"events": dict(counts)} if counts is not None else {}
    if dry_run:
        detail["changes"] = [f"{each.node}: {change}" for each in settled for change in each.changes]
    code = worst(each.code for each in troubles if each.code != PENDING)
    told = "".join(f", {count} {verb}" for verb, count in sorted((counts or {}).items()))
    word = "would change" if dry_run else "changed"
    which = f" ({', '.join(changed[:_NAMED])}{', …' if len(changed) > _NAMED else ''})" if changed else ""
    return Report(job, code, f"{nodes} nodes, {len(changed)} {word}{which}, {len(troubles)} pending{told}", detail)


_NAMED = 5
