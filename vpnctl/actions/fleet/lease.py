"""Who may change a node that keeps no token and no lock of ours: whoever has it on loan in the database.

Weaker than a token: a request that is already on its way when the lease ends is not called back (docs/adr/0032).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import sqlalchemy as sa

from vpnctl.app import App
from vpnctl.errors import Busy
from vpnctl.remote.driver import Driver
from vpnctl.store import models
from vpnctl.store.rows import Node

LASTS = timedelta(minutes=10)
"""Whoever died holding it delays others by no more than this."""
MARGIN = timedelta(minutes=1)
"""Nothing new is sent in the last part of it: clocks of two machines differ, and a request takes its time."""
SECONDS = 45.0
"""How long another one's end is waited for."""


@contextmanager
def hold(app: App, node: Node, way: Driver) -> Iterator[datetime | None]:
    """Yield until when something may be sent; None where the node itself refuses what comes too late.

    Raises Busy when somebody else holds the node for longer than is waited for.
    """
    if way.fences:
        yield None
        return
    end = time.monotonic() + SECONDS
    while (until := _take(app, node)) is None:
        if time.monotonic() > end:
            raise Busy(f"{node.name}: another vpnctl is at work there", "vpnctl status")
        time.sleep(0.2)
    try:
        yield until - MARGIN
    finally:
        with app.store.write() as tx:
            mine = (models.node.c.id == node.id, models.node.c.leased_by == app.run_id)
            tx.update(Node, *mine, leased_until=None, leased_by=None)


def _take(app: App, node: Node) -> datetime | None:
    now, table = app.clock(), models.node.c
    free = sa.or_(table.leased_until.is_(None), table.leased_until < now, table.leased_by == app.run_id)
    with app.store.write() as tx:
        tx.update(Node, table.id == node.id, free, leased_until=now + LASTS, leased_by=app.run_id)
        row = tx.one(Node, table.id == node.id)
    return now + LASTS if row is not None and row.leased_by == app.run_id else None
