"""A round over all nodes, shared by several workers: cut into parts, each done by whoever has its lease.

Rounds are numbered by the clock. A worker that is killed leaves a part undone until its lease runs out, or until the
next round, whichever comes first.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from vpnctl.app import App
from vpnctl.jobs import Timer
from vpnctl.store import leases, models
from vpnctl.store.rows import Node

SIZE = 250
"""Nodes in a part."""


@dataclass(frozen=True)
class RoundPart:
    """Nodes that are ours in this round."""

    lease: str
    nodes: tuple[Node, ...]


def number(app: App, timer: Timer) -> int:
    """Return which round of a job it is now."""
    return int(app.clock().timestamp() // timer.every)


def claim(app: App, job: str, timer: Timer, holder: str) -> RoundPart | None:
    """Take the next part of the round that runs now; None when all are taken or done."""
    now, round_ = app.clock(), number(app, timer)
    with app.store.write() as tx:
        nodes = tx.all(Node, models.node.c.retired_at.is_(None), order=models.node.c.name)
        parts = [nodes[start : start + SIZE] for start in range(0, len(nodes), SIZE)]
        names = [f"{job}:{round_}:{place}" for place in range(len(parts))]
        others = [name for name in names if not leases.held(tx, name, holder, now)]  # ours are being done, or done
        mine = leases.take(tx, others, holder, now, timedelta(seconds=timer.limit), 1)
    return RoundPart(mine[0], tuple(parts[names.index(mine[0])])) if mine else None


def done(app: App, part: RoundPart, timer: Timer, holder: str) -> None:
    """Say that a part is done: nobody takes it again in its round."""
    with app.store.write() as tx:
        leases.prolong(tx, [part.lease], holder, app.clock() + timedelta(seconds=2 * timer.every))
