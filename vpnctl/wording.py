"""What messages say. A notice holds its kind and details; the text is made when it is sent."""

from __future__ import annotations

from datetime import datetime, tzinfo
from typing import Any

_LINES = 40
"""Of a merged message; the rest is a number."""


def text(kind: str, details: dict[str, Any], zone: tzinfo) -> str:
    """Return the message of a notice, plain text. Times are in the operator's `zone`, which is named."""
    if kind == "ending":
        return _ending(details, zone)
    if kind == "news":
        return str(details["text"])
    if kind == "health":
        lines = [str(line) for line in details["lines"]]
        more = [f"and {len(lines) - _LINES} more"] if len(lines) > _LINES else []
        return "\n".join([*lines[:_LINES], *more])
    forms = {
        "rent": "Rent of {node} is due on {due} ({days} days).",
        "capacity": "{node} has {peers} peers; its capacity is {capacity}.",
        "job_failed": "The job {job} failed on its timer at {at}. On the operator's machine: vpnctl jobs history {job}",
        "drift": "{node} differs from the database: {changes}. It is healed by the next sync; who changed it by hand?",
        "resource": "{node}: {what}.",
    }
    return forms[kind].format(**details)


def _ending(details: dict[str, Any], zone: tzinfo) -> str:
    ends = datetime.fromisoformat(details["ends_at"]).astimezone(zone)
    what = "trial" if details["source"] == "trial" else f"subscription ({details['plan']})"
    moment = f"{ends:%Y-%m-%d %H:%M} {ends.tzname()}"
    return f"Your {what} ends at {moment}."
