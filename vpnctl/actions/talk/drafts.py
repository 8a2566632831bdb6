"""A plan that somebody was about to ask for: one a person, so that it can be gone on with."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from vpnctl.store import models
from vpnctl.store.engine import Tx
from vpnctl.store.rows import User

_table = models.draft


def keep(tx: Tx, user: User, plan: str, now: datetime) -> None:
    """Remember what was chosen last."""
    drop(tx, user)
    tx.execute(sa.insert(_table).values(user_id=user.id, plan=plan, changed_at=now))


def drop(tx: Tx, user: User) -> None:
    """Forget it."""
    tx.execute(sa.delete(_table).where(_table.c.user_id == user.id))
