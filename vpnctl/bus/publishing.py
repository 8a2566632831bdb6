"""Events go out in their order, behind a cursor that moves once the bus has them: a crash repeats some and loses none.

What is repeated bears the same message id, by which the bus leaves it out for an hour; whoever reads events leaves out
a `seq` that they have seen. One worker at a time publishes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

import sqlalchemy as sa

from vpnctl.app import App
from vpnctl.bus.connection import Bus
from vpnctl.bus.streams import EVENT_STREAM, WORK_STREAM
from vpnctl.reports import audit
from vpnctl.reports.audit import EventView
from vpnctl.rules import published
from vpnctl.store import models
from vpnctl.store.engine import Tx
from vpnctl.store.queue import pending_nodes

if TYPE_CHECKING:
    from nats.js import JetStreamContext

CURSOR = "bus_cursor"
BATCH = 500


def cursor(tx: Tx) -> int:
    """Return the `seq` of the last event that the bus has; without one, events begin now."""
    found = tx.meta(CURSOR)
    return int(found) if found else tx.execute(sa.select(sa.func.max(models.event.c.seq))).scalar() or 0


def behind(tx: Tx) -> int:
    """Return how many events the bus has not got yet."""
    return tx.execute(sa.select(sa.func.count()).where(models.event.c.seq > cursor(tx))).scalar() or 0


def publish(app: App, bus: Bus) -> int:
    """Publish a batch of events, and move the cursor; return how many. Raises BusTrouble."""
    with app.store.read() as tx:
        after, begun = cursor(tx), tx.meta(CURSOR) is not None
        rows = audit.behind(tx, after, limit=BATCH)
    if rows:
        bus.call(lambda stream: _send(stream, rows), 30)
    if rows or not begun:
        with app.store.write() as tx:
            tx.set_meta(CURSOR, str(rows[-1].seq if rows else after))
    return len(rows)


async def _send(stream: JetStreamContext, rows: Sequence[EventView]) -> None:
    """Write all to the one connection in their order, and wait until each was kept."""

    async def one(row: EventView) -> None:
        key = {"Nats-Msg-Id": f"event {row.seq}"}
        await stream.publish(published.subject(row.verb), published.text(row), stream=EVENT_STREAM, headers=key)

    await one(rows[0])  # alone: the first request of a connection prepares for answers, and others would overtake it
    await asyncio.gather(*map(one, rows[1:]))


def call_for_work(app: App, bus: Bus) -> int:
    """Name the nodes that are pending to the workers, each once for a state of the audit; return how many.

    Raises BusTrouble.
    """
    with app.store.read() as tx:
        waiting = pending_nodes(tx, app.clock())
        last = tx.execute(sa.select(sa.func.max(models.event.c.seq))).scalar() or 0

    async def send(stream: JetStreamContext) -> None:
        names = [(f"{published.WORK}.{node_id}", f"{node_id} {last}") for node_id in waiting]
        await asyncio.gather(
            *(stream.publish(name, b"", stream=WORK_STREAM, headers={"Nats-Msg-Id": key}) for name, key in names)
        )

    if waiting:
        bus.call(send, 30)
    return len(waiting)
