"""The periods of a person: what was granted, and which of it covers now."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from vpnctl.rules.access import holds
from vpnctl.store import models
from vpnctl.store.engine import Tx
from vpnctl.store.rows import Subscription, User

_table = models.subscription.c


def of(tx: Tx, user: User) -> list[Subscription]:
    """Return all periods of a user, the earliest first."""
    return tx.all(Subscription, _table.user_id == user.id, order=_table.starts_at)


def covering(rows: Sequence[Subscription], now: datetime) -> Subscription | None:
    """Return the period that covers `now`, the last to end if several do."""
    return max((row for row in rows if holds(row, now)), key=lambda row: row.ends_at, default=None)
