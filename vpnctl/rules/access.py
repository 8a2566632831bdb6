"""Who may connect now, and why not. The one predicate that settle, reports and every front ask."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

ONLINE = timedelta(seconds=180)
"""A WireGuard session key lives 180 s (REJECT_AFTER_TIME), so an older handshake means offline."""


class Reason(StrEnum):
    """Why a peer may not connect."""

    REMOVED = "user removed"
    NOT_APPROVED = "user not approved"
    BLOCKED = "user blocked"
    NO_ACCESS = "no access granted"
    REVOKED = "revoked"
    SUSPENDED = "suspended"
    EXPIRED = "expired"

    @property
    def asked(self) -> bool:
        """Whether a person asked for it; what only time brings is subject to the brake."""
        return self not in (Reason.EXPIRED, Reason.NO_ACCESS)


@dataclass(frozen=True)
class Standing:
    """What the decision looks at. Times are aware UTC."""

    approved_at: datetime | None
    blocked_at: datetime | None
    removed_at: datetime | None
    unlimited: bool
    suspended_at: datetime | None
    revoked_at: datetime | None
    expires_at: datetime | None


def why_not(standing: Standing, now: datetime) -> Reason | None:
    """Return the first reason why the peer may not connect at `now`, or None if it may."""
    checks = (
        (standing.revoked_at is not None, Reason.REVOKED),
        (standing.removed_at is not None, Reason.REMOVED),
        (standing.blocked_at is not None, Reason.BLOCKED),
        (standing.approved_at is None, Reason.NOT_APPROVED),
        (standing.suspended_at is not None, Reason.SUSPENDED),
        (standing.expires_at is not None and standing.expires_at <= now, Reason.EXPIRED),
        (not standing.unlimited, Reason.NO_ACCESS),
    )
    return next((reason for true, reason in checks if true), None)


def shown_state(reason: Reason | None, present_at: datetime | None, absent_at: datetime | None) -> str:
    """Return the observed state of a peer in one word (two when it is not there yet).

    `active` and the past participles are only said of what was read on the node; otherwise it is `pending`.
    """
    if reason is None:
        return "active" if present_at else "pending"
    word = {Reason.REVOKED: "revoked", Reason.SUSPENDED: "suspended", Reason.EXPIRED: "expired"}.get(reason, "blocked")
    return word if absent_at else f"{word}, cut pending"


def online(last_handshake: datetime | None, now: datetime) -> bool:
    """Return whether a handshake at that time means that the peer is connected at `now`."""
    return last_handshake is not None and now - last_handshake <= ONLINE
