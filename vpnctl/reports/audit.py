"""Events as rows: who did what to whom, and when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from vpnctl.store import models
from vpnctl.store.engine import Tx

_event = models.event.c


@dataclass(frozen=True)
class EventView:
    """One line of the audit."""

    seq: int
    at: datetime
    actor: str
    verb: str
    subject: str
    before: Any
    after: Any
    run_id: str


def events(tx: Tx, *, subject: str = "", verb: str = "", limit: int = 50) -> list[EventView]:
    """Return the newest events, oldest first."""
    where = [_event.subject.contains(subject, autoescape=True)] if subject else []
    where += [_event.verb.startswith(verb, autoescape=True)] if verb else []
    columns = (
        _event.seq,
        _event.at,
        _event.actor,
        _event.verb,
        _event.subject,
        _event.before,
        _event.after,
        _event.run_id,
    )
    query = sa.select(*columns).where(*where).order_by(_event.seq.desc()).limit(limit)
    return [EventView(*row) for row in reversed(tx.execute(query).all())]
