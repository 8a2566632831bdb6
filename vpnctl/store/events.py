"""The audit: one row per change, written in the transaction of the change."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from vpnctl.store import models
from vpnctl.store.engine import Tx


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
    subject: tuple[str, str, str],
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    """Write one event. `subject` is (kind, id, label); no secret and no display name may be in it."""
    record_all(tx, stamp, verb, [(subject, before, after)])


def record_all(
    tx: Tx,
    stamp: Stamp,
    verb: str,
    changes: list[tuple[tuple[str, str, str], dict[str, Any] | None, dict[str, Any] | None]],
) -> None:
    """Write one event per (subject, before, after)."""
    if not changes:
        return
    tx.execute(
        sa.insert(models.event),
        [
            {
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
            for (kind, subject_id, label), before, after in changes
        ],
    )
