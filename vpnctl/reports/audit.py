"""Events as rows: who did what to whom, and when."""

from __future__ import annotations

from collections.abc import Sequence
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
    subject_id: str


_COLUMNS = tuple(_event[each] for each in EventView.__dataclass_fields__)


def events(tx: Tx, *, subject: str = "", verb: str = "", limit: int = 50) -> list[EventView]:
    """Return the newest events, oldest first."""
    where = [_event.subject.contains(subject, autoescape=True)] if subject else []
    where += [_event.verb.startswith(verb, autoescape=True)] if verb else []
    query = sa.select(*_COLUMNS).where(*where).order_by(_event.seq.desc()).limit(limit)
    return [EventView(*row) for row in reversed(tx.execute(query).all())]


def behind(tx: Tx, seq: int, *, subject: str = "", verb: str = "", limit: int = 50) -> list[EventView]:
    """Return the events behind a sequence number, oldest first."""
    where = [_event.seq > seq]
    where += [_event.subject.contains(subject, autoescape=True)] if subject else []
    where += [_event.verb.startswith(verb, autoescape=True)] if verb else []
    query = sa.select(*_COLUMNS).where(*where).order_by(_event.seq).limit(limit)
    return [EventView(*row) for row in tx.execute(query)]


def of_subject(tx: Tx, subject_id: str, verbs: Sequence[str]) -> EventView | None:
    """Return the newest of these events of a subject."""
    where = (_event.subject_id == subject_id, _event.verb.in_(verbs))
    row = tx.execute(sa.select(*_COLUMNS).where(*where).order_by(_event.seq.desc()).limit(1)).first()
    return EventView(*row) if row else None


def of_run(tx: Tx, run: str) -> list[EventView]:
    """Return the events of the newest run whose id begins so, oldest first."""
    like = _event.run_id.startswith(run, autoescape=True)
    whole = tx.execute(sa.select(_event.run_id).where(like).order_by(_event.seq.desc()).limit(1)).scalar()
    query = sa.select(*_COLUMNS).where(_event.run_id == whole).order_by(_event.seq)
    return [EventView(*row) for row in tx.execute(query)]
