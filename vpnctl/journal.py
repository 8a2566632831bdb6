"""Structured logs: one JSON line on stderr per event, once it is committed. Ids and names of ours, never secrets."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import Any

_WARNING = ("node.unsettled", "node.rolled_back", "alien.found", "quota.reached")


def write(rows: list[dict[str, Any]]) -> None:
    """Write the events of one committed transaction."""
    for row in rows:
        line = {
            "ts": _time(row["at"]),
            "level": "warning" if row["verb"] in _WARNING else "info",
            "event": row["verb"],
            "actor": row["actor"],
            "run_id": row["run_id"],
            "kind": row["subject_kind"],
            "id": row["subject_id"],
            "subject": row["subject"],
        }
        line |= {key: row[key] for key in ("before", "after") if row[key] is not None}
        _line(line)


def job(name: str, seconds: float, code: int, what: str) -> None:
    """Write that a job has run."""
    outcome = {"event": "job.done", "actor": f"job:{name}", "duration_ms": round(seconds * 1000), "code": code}
    _line({"ts": _time(datetime.now(UTC)), "level": "info" if code == 0 else "warning", **outcome, "what": what})


def said(text: str) -> None:
    """Write what a running program says of itself."""
    _line({"ts": _time(datetime.now(UTC)), "level": "info", "event": "said", "what": text})


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _line(body: dict[str, Any]) -> None:
    sys.stderr.write(json.dumps(body, ensure_ascii=True, default=str) + "\n")
