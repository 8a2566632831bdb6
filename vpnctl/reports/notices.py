"""The outbox as rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, tzinfo

import sqlalchemy as sa

from vpnctl.store import models
from vpnctl.store.engine import Tx
from vpnctl.texts import wording

_table = models.notice.c


@dataclass(frozen=True)
class NoticeView:
    """A message: `waiting`, `sent` or `failed`."""

    state: str
    chat: str
    user: str | None
    kind: str
    text: str
    created_at: datetime
    sent_at: datetime | None
    tries: int
    error: str | None


def waiting(tx: Tx) -> int:
    """Return how many messages wait."""
    query = sa.select(sa.func.count()).where(_table.sent_at.is_(None), _table.failed_at.is_(None))
    return tx.execute(query).scalar() or 0


def listed(tx: Tx, zone: tzinfo, *, state: str = "", limit: int = 50) -> list[NoticeView]:
    """Return the newest messages, oldest first."""
    states = {
        "waiting": (_table.sent_at.is_(None), _table.failed_at.is_(None)),
        "sent": (_table.sent_at.is_not(None),),
        "failed": (_table.failed_at.is_not(None),),
    }
    query = (
        sa.select(models.notice, models.user.c.name.label("user_name"))
        .outerjoin(models.user, models.user.c.id == _table.user_id)
        .where(*states.get(state, ()))
        .order_by(_table.created_at.desc(), _table.id)
        .limit(limit)
    )
    return [
        NoticeView(
            state="sent" if row.sent_at else "failed" if row.failed_at else "waiting",
            chat=row.chat,
            user=row.user_name,
            kind=row.kind,
            text=wording.text(row.kind, row.details, zone),
            created_at=row.created_at,
            sent_at=row.sent_at,
            tries=row.tries,
            error=row.error,
        )
        for row in reversed(tx.execute(query).all())
    ]
