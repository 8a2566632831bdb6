"""How much an actor did of late, for the limits of people who act through the bot."""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa

from vpnctl.store import models
from vpnctl.store.engine import Tx

TAKES = ("user.block", "user.reject", "request.refuse")
GIVES = ("user.approve", "user.add", "user.unblock", "subscription.grant", "subscription.extend", "request.grant")


def acts(tx: Tx, actor: str, now: datetime, *, takes: bool) -> int:
    """Return how often the actor took access away, or gave it, in the last hour."""
    table = models.event.c
    where = (table.actor == actor, table.verb.in_(TAKES if takes else GIVES), table.at > now - timedelta(hours=1))
    return tx.execute(sa.select(sa.func.count()).where(*where)).scalar() or 0
