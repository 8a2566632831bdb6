"""Which backups stay: the newest of each of the last 7 days, 4 weeks and 12 months that have one. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

DAYS, WEEKS, MONTHS = 7, 4, 12


def kept(times: Iterable[datetime]) -> set[datetime]:
    """Return those that stay. Times are in one zone, which decides where a day begins; the newest one always stays."""
    newest = sorted(times, reverse=True)
    return (
        _newest_of_each(newest, lambda at: (at.year, at.month, at.day), DAYS)
        | _newest_of_each(newest, lambda at: at.isocalendar()[:2], WEEKS)
        | _newest_of_each(newest, lambda at: (at.year, at.month), MONTHS)
    )


def _newest_of_each(newest: list[datetime], period: Callable[[datetime], tuple[int, ...]], count: int) -> set[datetime]:
    found: dict[tuple[int, ...], datetime] = {}
    for at in newest:
        if len(found) == count and period(at) not in found:
            break
        found.setdefault(period(at), at)
    return set(found.values())
