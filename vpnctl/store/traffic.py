"""The traffic ledger's rows: day by day per peer, month by month per user, and the cursor, in one transaction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from vpnctl.rules.ledger import Reading, gained, spread, stale
from vpnctl.store import models
from vpnctl.store.engine import Tx

_CHUNK = 500
_counter = models.counter.c

_CURSOR = sa.text(
    "INSERT INTO counter (peer_id, boot_id, link, rx, tx, handshake, read_at)"
    " VALUES (:peer_id, :boot_id, :link, :rx, :tx, :handshake, :read_at)"
    " ON CONFLICT (peer_id) DO UPDATE SET boot_id = excluded.boot_id, link = excluded.link, rx = excluded.rx,"
    " tx = excluded.tx, handshake = excluded.handshake, read_at = excluded.read_at"
).bindparams(sa.bindparam("read_at", type_=models.Utc()))
_DAY = sa.text(
    "INSERT INTO usage (peer_id, day, rx, tx) VALUES (:peer_id, :day, :rx, :tx) ON CONFLICT (peer_id, day)"
    " DO UPDATE SET rx = usage.rx + excluded.rx, tx = usage.tx + excluded.tx"
).bindparams(sa.bindparam("day", type_=sa.Date()))
_MONTH = sa.text(
    "INSERT INTO usage_month (user_id, month, rx, tx, noted) VALUES (:user_id, :month, :rx, :tx, :noted)"
    " ON CONFLICT (user_id, month) DO UPDATE SET rx = usage_month.rx + excluded.rx, tx = usage_month.tx + excluded.tx"
)
_TOTAL = sa.text("UPDATE peer SET rx = rx + :rx, tx = tx + :tx WHERE id = :peer_id")


@dataclass(frozen=True)
class Meter:
    """A peer whose counters were read. `born`: when it came onto the node, where its counters began at zero."""

    peer_id: str
    user_id: str
    born: datetime
    reading: Reading


def book(tx: Tx, endpoint_id: str, meters: Sequence[Meter]) -> frozenset[str]:
    """Add what passed since the last reading, and move the cursors. Equal readings write nothing.

    Return the ids of the peers from whom something was received.
    """
    cursors = _cursors(tx, endpoint_id, [meter.peer_id for meter in meters])
    moved = [meter for meter in meters if _news(cursors.get(meter.peer_id), meter.reading)]
    if not moved:
        return frozenset()
    days: dict[tuple[str, date], list[int]] = defaultdict(lambda: [0, 0])
    months: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    totals: list[dict[str, Any]] = []
    for meter in moved:
        cursor = cursors.get(meter.peer_id)
        more = gained(cursor, meter.reading, meter.born)
        if not any(more):
            continue
        since = cursor.read_at if cursor else meter.born
        for way, amount in enumerate(more):
            for day, part in spread(amount, since, meter.reading.read_at).items() if amount else ():
                days[meter.peer_id, day][way] += part
                months[meter.user_id, f"{day:%Y-%m}"][way] += part
        totals.append({"peer_id": meter.peer_id, "rx": more[0], "tx": more[1]})
    tx.execute(_CURSOR, [{"peer_id": meter.peer_id, **vars(meter.reading)} for meter in moved])
    if totals:
        tx.execute(_TOTAL, totals)
        tx.execute(_DAY, [{"peer_id": key[0], "day": key[1], "rx": n[0], "tx": n[1]} for key, n in days.items()])
        rows = [
            {"user_id": key[0], "month": key[1], "rx": n[0], "tx": n[1], "noted": False} for key, n in months.items()
        ]
        tx.execute(_MONTH, rows)
    return frozenset(total["peer_id"] for total in totals if total["rx"])


def forget(tx: Tx, peer_ids: Iterable[str]) -> None:
    """Drop the cursors of peers that were seen absent: when they come back their counters begin at zero."""
    ids = list(peer_ids)
    for start in range(0, len(ids), _CHUNK):
        tx.execute(sa.delete(models.counter).where(_counter.peer_id.in_(ids[start : start + _CHUNK])))


def _news(cursor: Reading | None, reading: Reading) -> bool:
    return cursor is None or (_figures(cursor) != _figures(reading) and not stale(cursor, reading))


def _figures(reading: Reading) -> tuple[str, int, int, int, int]:
    return (reading.boot_id, reading.link, reading.rx, reading.tx, reading.handshake)


def _cursors(tx: Tx, endpoint_id: str, ids: list[str]) -> dict[str, Reading]:
    query = sa.select(models.counter)
    if len(ids) <= _CHUNK:
        query = query.where(_counter.peer_id.in_(ids))
    else:
        query = query.where(
            _counter.peer_id.in_(sa.select(models.peer.c.id).where(models.peer.c.endpoint_id == endpoint_id))
        )
    return {peer_id: Reading(*rest) for peer_id, *rest in tx.execute(query)}
