"""Whether this machine's clock can be trusted to cut people off: time alone must not do it after a jump."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

TOLERANCE = 600.0
"""Seconds by which wall clock and uptime may disagree: a first NTP step on a slow RTC is less."""
LONGEST_SLEEP = 7 * 86400.0
"""A machine that was off longer than this is asked about; three days of downtime are caught up without a question."""


@dataclass(frozen=True)
class Tick:
    """One look at the clocks: seconds since 1970, the boot's id, and seconds since it (sleep included)."""

    wall: float
    boot_id: str
    uptime: float

    def text(self) -> str:
        """Return it as stored."""
        return json.dumps(asdict(self))


def tick(text: str | None) -> Tick | None:
    """Return what `Tick.text` wrote, or None."""
    return Tick(**json.loads(text)) if text else None


def beyond(newest: float | None, wall: float, *, forward: bool) -> str:
    """Return what is wrong when the clock is compared with what the database recorded last, or an empty text.

    Something later than now means that the clock went back; with `forward`, more than a week of nothing means that
    nobody knows whether it went forward.
    """
    if newest is None:
        return ""
    if wall < newest - TOLERANCE:
        return f"this machine's clock is {_span(newest - wall)} behind what was recorded last"
    if forward and wall > newest + LONGEST_SLEEP:
        return f"this machine's clock is {_span(wall - newest)} after anything was recorded"
    return ""


def apart(node: str, theirs: float, ours: float) -> str:
    """Return what is wrong when our clock and a node's differ, or an empty text."""
    if abs(theirs - ours) <= TOLERANCE:
        return ""
    return f"the clocks of this machine and of {node} differ by {_span(abs(theirs - ours))}"


def jumped(last: Tick | None, now: Tick) -> str:
    """Return what is wrong with the clock in words, or an empty text.

    Within one boot wall clock and uptime must advance alike. Across boots nothing but the order is known; how long
    the machine was off is believed up to a week.
    """
    if last is None:
        return ""
    went = now.wall - last.wall
    if last.boot_id == now.boot_id:
        off = went - (now.uptime - last.uptime)
    elif went < now.uptime - TOLERANCE:
        off = went - now.uptime
    else:
        off = went if went > LONGEST_SLEEP else 0.0
    if abs(off) <= TOLERANCE:
        return ""
    way = "forward" if off > 0 else "back"
    return f"this machine's clock went {way} by {_span(abs(off))} since the last job"


def _span(seconds: float) -> str:
    for unit, size in (("days", 86400.0), ("hours", 3600.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 60:.0f} minutes"
