"""What users asked for, as rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from vpnctl.store import models
from vpnctl.store.engine import Tx
from vpnctl.store.talk_rows import WITHDRAWN

_request, _user = models.request.c, models.user.c


@dataclass(frozen=True)
class RequestView:
    """A request in a list: `waiting`, `granted` or `refused`. `details` depend on the kind."""

    id: str
    user: str
    kind: str
    details: dict[str, Any]
    state: str
    created_at: datetime
    decided_at: datetime | None
    decided_by: str | None

    @property
    def told(self) -> dict[str, Any]:
        """What texts about it are made of."""
        return {"user": self.user, "kind": self.kind, **self.details}


def requests(tx: Tx, *, decided: bool = False, limit: int = 50) -> list[RequestView]:
    """Return what waits, the oldest first, with `decided` also what was decided."""
    return _listed(tx, [] if decided else [_request.decided_at.is_(None)], limit)


@dataclass(frozen=True)
class InviteView:
    """An invitation in a list; `user` is empty for somebody new. Only its hash is kept, so it cannot be shown again."""

    id: str
    user: str | None
    made_by: str
    created_at: datetime
    expires_at: datetime


def invites(tx: Tx, now: datetime) -> list[InviteView]:
    """Return the invitations that still work, those that end first first."""
    table = models.invite.c
    query = (
        sa.select(table.id, _user.name, table.made_by, table.created_at, table.expires_at)
        .outerjoin(models.user, _user.id == table.user_id)
        .where(table.used_at.is_(None), table.expires_at > now)
        .order_by(table.expires_at, table.id)
    )
    return [InviteView(*row) for row in tx.execute(query)]


def request(tx: Tx, request_id: str) -> RequestView | None:
    """Return a request that waits."""
    return next(iter(_listed(tx, [_request.id == request_id, _request.decided_at.is_(None)], 1)), None)


def told(tx: Tx, request_id: str) -> dict[str, Any]:
    """Return what texts about a request are made of; nothing when there is none."""
    found = _listed(tx, [_request.id == request_id], 1)
    return found[0].told if found else {"user": "?"}


def _state(row: Any) -> str:
    if row.decided_at is None:
        return "waiting"
    return "granted" if row.granted else WITHDRAWN if WITHDRAWN in row.details else "refused"


def _listed(tx: Tx, where: list[Any], limit: int) -> list[RequestView]:
    query = (
        sa.select(models.request, _user.name.label("user_name"))
        .join(models.user, _user.id == _request.user_id)
        .where(_user.removed_at.is_(None), *where)
        .order_by(_request.created_at, _request.id)
        .limit(limit)
    )
    return [
        RequestView(
            id=row.id,
            user=row.user_name,
            kind=row.kind,
            details=row.details,
            state=_state(row),
            created_at=row.created_at,
            decided_at=row.decided_at,
            decided_by=row.decided_by,
        )
        for row in tx.execute(query)
    ]
