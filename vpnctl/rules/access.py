"""Who may connect now, and why not. The one predicate that settle, reports and every front ask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from vpnctl.rules.months import MONTH

ONLINE = timedelta(seconds=180)
"""A WireGuard session key lives 180 s (REJECT_AFTER_TIME), so an older handshake means offline."""


class Reason(StrEnum):
    """Why a peer may not connect."""

    REMOVED = "user removed"
    NOT_APPROVED = "user not approved"
    BLOCKED = "user blocked"
    CANCELLED = "subscription cancelled"
    ENDED = "subscription ended"
    NO_ACCESS = "no access granted"
    QUOTA = "traffic of this month used up"
    PERIOD_QUOTA = "traffic of this period used up"
    NODE_QUOTA = "traffic on this node used up"
    NODE_STOPPED = "the node's own traffic of this month used up"
    REVOKED = "revoked"
    SUSPENDED = "suspended"
    EXPIRED = "expired"

    @property
    def asked(self) -> bool:
        """Whether a person asked for it; what only time or traffic brings is subject to the brake."""
        return self not in _BY_ITSELF


_BY_ITSELF = frozenset(
    {Reason.EXPIRED, Reason.NO_ACCESS, Reason.ENDED, Reason.QUOTA, Reason.PERIOD_QUOTA, Reason.NODE_QUOTA}
)
"""A node that is to stop when its traffic is used up was told so by the operator."""


class Coverage(Protocol):
    """What has a beginning, an end, and may have been cancelled."""

    @property
    def starts_at(self) -> datetime: ...
    @property
    def ends_at(self) -> datetime: ...
    @property
    def cancelled_at(self) -> datetime | None: ...


@dataclass(frozen=True)
class Period:
    """One granted period. `traffic` is bytes in each `traffic_period` (see `months.PERIODS`); None: without limit.

    `node_traffic` is the same for each node.
    """

    starts_at: datetime
    ends_at: datetime
    cancelled_at: datetime | None
    traffic: int | None
    traffic_period: str = MONTH
    node_traffic: int | None = None

    def covers(self, now: datetime) -> bool:
        """Return whether `now` lies inside, the end excluded, cancelled or not."""
        return self.starts_at <= now < self.ends_at


def holds(period: Coverage, now: datetime) -> bool:
    """Return whether a period gives access now: it covers it and was not cancelled. `queue.holding` says it in SQL."""
    return period.cancelled_at is None and period.starts_at <= now < period.ends_at


@dataclass(frozen=True)
class Person:
    """What the decision looks at of a user. `used` is bytes of this calendar month, all devices, both ways.

    `used_in` is the same in the other kinds of periods, where a subscription has such a one.
    """

    approved_at: datetime | None
    blocked_at: datetime | None
    removed_at: datetime | None
    unlimited: bool
    periods: tuple[Period, ...] = ()
    used: int = 0
    used_in: Mapping[str, int] = field(default_factory=dict)

    def spent(self, period: str) -> int:
        """Return the bytes of the period of that kind that runs now."""
        return self.used if period == MONTH else self.used_in.get(period, 0)


@dataclass(frozen=True)
class Standing:
    """What the decision looks at. Times are aware.

    `here`: bytes of the person on the peer's node, by kind of period.
    """

    person: Person
    suspended_at: datetime | None
    revoked_at: datetime | None
    expires_at: datetime | None
    here: Mapping[str, int] = field(default_factory=dict)
    node_stopped: bool = False


def why_not(standing: Standing, now: datetime) -> Reason | None:
    """Return the first reason why the peer may not connect at `now`, or None if it may."""
    if standing.revoked_at is not None:
        return Reason.REVOKED
    person = _barred(standing.person)
    checks = (
        (person is not None, person),
        (standing.suspended_at is not None, Reason.SUSPENDED),
        (standing.expires_at is not None and standing.expires_at <= now, Reason.EXPIRED),
    )
    found = next((reason for true, reason in checks if true), None) or _uncovered(standing.person, now)
    return found or _kept_off(standing, now)


def why_not_person(person: Person, now: datetime) -> Reason | None:
    """Return the first reason why none of a person's devices may connect at `now`, or None."""
    return _barred(person) or _uncovered(person, now)


def _barred(person: Person) -> Reason | None:
    checks = (
        (person.removed_at is not None, Reason.REMOVED),
        (person.blocked_at is not None, Reason.BLOCKED),
        (person.approved_at is None, Reason.NOT_APPROVED),
    )
    return next((reason for true, reason in checks if true), None)


def _uncovered(person: Person, now: datetime) -> Reason | None:
    """Access by subscription: one that covers `now` and whose traffic of the month is not used up."""
    if person.unlimited:
        return None
    now_covering = [each for each in person.periods if each.covers(now)]
    valid = [each for each in now_covering if holds(each, now)]
    if any(_left(each, person) for each in valid):
        return None
    if valid:
        return Reason.QUOTA if any(each.traffic_period == MONTH for each in valid) else Reason.PERIOD_QUOTA
    if now_covering:
        return Reason.CANCELLED
    return Reason.ENDED if any(each.ends_at <= now for each in person.periods) else Reason.NO_ACCESS


def _left(period: Period, person: Person) -> bool:
    return period.traffic is None or person.spent(period.traffic_period) < period.traffic


def _kept_off(standing: Standing, now: datetime) -> Reason | None:
    """Why somebody who has access may not connect on this node."""
    if standing.node_stopped:
        return Reason.NODE_STOPPED
    person = standing.person
    valid = [each for each in person.periods if holds(each, now) and _left(each, person)]
    free = any(
        each.node_traffic is None or standing.here.get(each.traffic_period, 0) < each.node_traffic for each in valid
    )
    return None if person.unlimited or free else Reason.NODE_QUOTA


def shown_state(reason: Reason | None, present_at: datetime | None, absent_at: datetime | None) -> str:
    """Return the observed state of a peer in one word (two when it is not there yet).

    `active` and the past participles are only said of what was read on the node; otherwise it is `pending`.
    """
    if reason is None:
        return "active" if present_at else "pending"
    words = {
        Reason.REVOKED: "revoked",
        Reason.SUSPENDED: "suspended",
        Reason.EXPIRED: "expired",
        Reason.ENDED: "expired",
        Reason.QUOTA: "over quota",
        Reason.PERIOD_QUOTA: "over quota",
        Reason.NODE_QUOTA: "over quota",
        Reason.NODE_STOPPED: "over quota",
    }
    word = words.get(reason, "blocked")
    return word if absent_at else f"{word}, cut pending"


def online(last_handshake: datetime | None, now: datetime) -> bool:
    """Return whether a handshake at that time means that the peer is connected at `now`."""
    return last_handshake is not None and now - last_handshake <= ONLINE


def serves(locations: Sequence[str], name: str, region: str) -> bool:
    """Return whether a plan with these locations may use the node; no locations mean all nodes."""
    return not locations or name in locations or region in locations
