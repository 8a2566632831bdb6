"""The states of a subscription, derived from rows and `now`; nothing is flagged. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class State(StrEnum):
    """`extended`: a further period already follows the current one. `scheduled`: it has not begun."""

    SCHEDULED = "scheduled"
    ACTIVE = "active"
    EXPIRING_SOON = "expiring_soon"
    EXTENDED = "extended"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    CONVERTED = "converted"


NOTHING, SOON, OVER = 0, 1, 2
"""What the job has told of a subscription: `Subscription.noted`."""

REMINDERS = (timedelta(days=3), timedelta(days=1), timedelta(0))
TRIAL_REMINDERS = (timedelta(days=1), timedelta(0))


@dataclass(frozen=True)
class Span:
    """A period as the states see it."""

    starts_at: datetime
    ends_at: datetime
    cancelled_at: datetime | None = None
    converted_at: datetime | None = None


def state(span: Span, others: Sequence[Span], now: datetime, soon: timedelta) -> State:
    """Return the state of one period at `now`; `others` are further periods of the same user."""
    follows = any(other.cancelled_at is None and other.starts_at <= span.ends_at < other.ends_at for other in others)
    checks = (
        (span.cancelled_at is not None, State.CANCELLED),
        (span.converted_at is not None, State.CONVERTED),
        (span.ends_at <= now, State.EXPIRED),
        (span.starts_at > now, State.SCHEDULED),
        (follows, State.EXTENDED),
        (span.ends_at - now <= soon, State.EXPIRING_SOON),
    )
    return next((word for true, word in checks if true), State.ACTIVE)


def next_start(spans: Sequence[Span], now: datetime) -> datetime:
    """Return when a further period begins: now, or at the end of the last one that is still to end."""
    return max([now, *(span.ends_at for span in spans if span.cancelled_at is None)])


def reminder(ends_at: datetime, now: datetime, *, trial: bool) -> str | None:
    """Return which reminder is due at `now`, the nearest only: `3d`, `1d`, `0d`; None when none is.

    A `0d` that is more than a day late says nothing new and is left out.
    """
    left = ends_at - now
    due = [each for each in (TRIAL_REMINDERS if trial else REMINDERS) if left <= each]
    if not due or left < -timedelta(days=1):
        return None
    return f"{min(due).days}d"
