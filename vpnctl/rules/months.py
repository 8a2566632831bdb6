"""Calendar periods in the operator's time zone. A moment carries its zone; the app's clock is in it."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta


def month_of(moment: datetime) -> str:
    """Return the month of a moment in the moment's own zone, as `2027-01`."""
    return f"{moment:%Y-%m}"


MONTH = "month"
PERIODS = ("day", "week", MONTH, "rolling")
"""Of traffic limits. A week begins on Monday; rolling are the last 30 days, today among them."""
_ROLLING = 30


def period_start(period: str, moment: datetime) -> date:
    """Return the first day of the period of that kind in which `moment` lies."""
    today = moment.date()
    starts = {"day": today, "week": today - timedelta(days=today.weekday()), MONTH: today.replace(day=1)}
    return starts.get(period, today - timedelta(days=_ROLLING - 1))


def next_month(moment: datetime) -> datetime:
    """Return 00:00 on the 1st of the month after `moment`, in the moment's own zone."""
    first = moment.date().replace(day=1)
    return datetime.combine((first + timedelta(days=32)).replace(day=1), time(), moment.tzinfo)


def midnight_after(moment: datetime) -> datetime:
    """Return the next 00:00 in the moment's own zone."""
    return datetime.combine(moment.date() + timedelta(days=1), time(), moment.tzinfo)


def months_back(moment: datetime, count: int) -> list[str]:
    """Return the last `count` months, the moment's own one last."""
    first, found = moment.date().replace(day=1), []
    for _ in range(count):
        found.append(f"{first:%Y-%m}")
        first = (first - timedelta(days=1)).replace(day=1)
    return found[::-1]


def first_day(month: str) -> date:
    """Return the first day of a month written as `2027-01`."""
    return date.fromisoformat(f"{month}-01")
