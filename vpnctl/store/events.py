"""The audit: one row per change, written in the transaction of the change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from vpnctl.store import models
from vpnctl.store.engine import Tx

Subject = tuple[str, str, str]
"""(kind, id, label)."""
Details = dict[str, Any] | None


@dataclass(frozen=True)
class Stamp:
    """Who does it, when, and in which run."""

    at: datetime
    actor: str
    run_id: str


def record(
    tx: Tx,
    stamp: Stamp,
    verb: str,
    subject: Subject,
    before: Details = None,
    after: Details = None,
) -> None:
    """Write one event. `subject` is (kind, id, label); no secret and no display name may be in it."""
    record_all(tx, stamp, verb, [(subject, before, after)])


def record_all(
    tx: Tx,
    stamp: Stamp,
    verb: str,
    changes: list[tuple[Subject, Details, Details]],
) -> None:
    """Write one event per (subject, before, after)."""
    if not changes:
        return
    rows = [_row(stamp, verb, subject, before, after) for subject, before, after in changes]
    tx.execute(sa.insert(models.event), rows)
    tx.journal.extend(rows)


@dataclass(frozen=True)
class Due:
    """Something that time brought, at `boundary`. It is written once per subject, verb and `key` (the boundary)."""

    verb: str
    subject: Subject
    boundary: datetime
    after: Details = None
    key: str = ""

    @property
    def once(self) -> str:
        """What makes it unique."""
        return f"{self.subject[1]} {self.verb} {self.key or self.boundary.astimezone(UTC).strftime('%Y%m%dT%H%M%SZ')}"


def record_due(tx: Tx, stamp: Stamp, due: Sequence[Due]) -> Counter[str]:
    """Write what time brought, stamped with the moment at which it did; what is written already is left out."""
    wanted = {each.once: each for each in due}
    keys = list(wanted)
    there: set[str] = set()
    for start in range(0, len(keys), 500):
        column = models.event.c.once
        there |= set(tx.execute(sa.select(column).where(column.in_(keys[start : start + 500]))).scalars())
    rows = [
        _row(stamp, each.verb, each.subject, None, each.after) | {"at": each.boundary, "once": key}
        for key, each in wanted.items()
        if key not in there
    ]
    if rows:
        tx.execute(sa.insert(models.event), rows)
    tx.journal.extend(rows)
    return Counter(str(row["verb"]) for row in rows)


def count(tx: Tx, verb: str, actor: str, since: datetime) -> int:
    """Return how many events of that verb and actor there are since then."""
    table = models.event.c
    query = sa.select(sa.func.count()).where(table.verb == verb, table.actor == actor, table.at >= since)
    return tx.execute(query.select_from(models.event)).scalar() or 0


def _row(stamp: Stamp, verb: str, subject: Subject, before: Details, after: Details) -> dict[str, Any]:
    kind, subject_id, label = subject
    return {
        "at": stamp.at,
        "recorded_at": stamp.at,
        "actor": stamp.actor,
        "verb": verb,
        "subject_kind": kind,
        "subject_id": subject_id,
        "subject": label,
        "before": before,
        "after": after,
        "run_id": stamp.run_id,
    }
