"""Rights for a time, held in the database by one process among several machines: what a killed one held runs out.

A lease says who does work, so that it is not done twice at once. It is no fence: what must not be done twice at all is
refused elsewhere (a node's token, a unique row).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa

from vpnctl.store import models
from vpnctl.store.engine import Tx

_lease = models.lease.c


def take(tx: Tx, names: Sequence[str], holder: str, now: datetime, lasts: timedelta, most: int) -> list[str]:
    """Take up to `most` of these leases, in their order; return those that were free, ran out, or were held already."""
    rows = tx.execute(sa.select(_lease.name, _lease.holder, _lease.until).where(_lease.name.in_(names)))
    there = {name: (who, until) for name, who, until in rows}
    free = [name for name in names if name not in there or there[name][0] == holder or there[name][1] <= now][:most]
    values = {"holder": holder, "until": now + lasts}
    old = [name for name in free if name in there]
    if old:
        tx.execute(sa.update(models.lease).where(_lease.name.in_(old)).values(**values))
    fresh = [{"name": name, **values} for name in free if name not in there]
    if fresh:
        tx.execute(sa.insert(models.lease), fresh)
    return free


def held(tx: Tx, name: str, holder: str, now: datetime) -> bool:
    """Return whether this holder has a lease that has not run out."""
    query = sa.select(_lease.until).where(_lease.name == name, _lease.holder == holder)
    until = tx.execute(query).scalar()
    return until is not None and until > now


def prolong(tx: Tx, names: Sequence[str], holder: str, until: datetime) -> None:
    """Hold leases that are still this holder's until then: a lease of work that is done says that it is done."""
    tx.execute(sa.update(models.lease).where(_lease.name.in_(names), _lease.holder == holder).values(until=until))


def release(tx: Tx, names: Sequence[str], holder: str) -> None:
    """Let go of leases that are this holder's."""
    tx.execute(sa.delete(models.lease).where(_lease.name.in_(names), _lease.holder == holder))
