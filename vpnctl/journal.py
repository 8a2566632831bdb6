"""Structured logs: one JSON line on stderr per event, once it is committed. Ids and names of ours, never secrets."""

from __future__ import annotations

import json
import logging
import sys
import threading
from datetime import UTC, datetime
from typing import Any

from vpnctl.errors import bug
from vpnctl.rules.grammar import quoted

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


def capture(*, json_lines: bool, verbose: bool) -> None:
    """Catch what libraries log or let fall, so that nothing of theirs reaches a terminal as it is.

    A server decides part of what the SSH library logs: texts are cleaned, and shown only when asked for (`verbose`),
    one line each, as JSON where that is the format.
    """
    logging.captureWarnings(True)
    logging.raiseExceptions = False
    root = logging.getLogger()
    for handler in [each for each in root.handlers if isinstance(each, _Library)]:
        root.removeHandler(handler)
    root.addHandler(_Library(json_lines=json_lines, verbose=verbose))
    threading.excepthook = _thread_failed


class _Library(logging.Handler):
    """Takes every record of the libraries."""

    def __init__(self, *, json_lines: bool, verbose: bool) -> None:
        super().__init__(logging.DEBUG if verbose else logging.WARNING)
        self._json, self._verbose = json_lines, verbose

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line, or none."""
        if not self._verbose:
            return
        try:
            text = quoted(record.getMessage())
        except (TypeError, ValueError):
            text = "a message that cannot be formatted"
        if self._json:
            level = record.levelname.lower() if record.levelname in _LEVELS else "info"
            _line({"ts": _time(datetime.now(UTC)), "level": level, "event": "log", "logger": record.name, "what": text})
        else:
            sys.stderr.write(f"log: {quoted(record.name, 40)}: {text}\n")


_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


def _thread_failed(failure: threading.ExceptHookArgs) -> None:
    """A library's thread died: its error reaches the caller by other ways, its traceback nobody."""
    if failure.exc_value is not None:
        logging.getLogger("thread").warning("%s", bug(failure.exc_value))


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _line(body: dict[str, Any]) -> None:
    sys.stderr.write(json.dumps(body, ensure_ascii=True, default=str) + "\n")
