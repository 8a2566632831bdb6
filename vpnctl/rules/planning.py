"""When a node is full, from how it grows and what its people move. docs/capacity.md explains the arithmetic. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

WINDOW = 30
"""Days that are looked back on."""
FAR = 3650
"""Days; what is further away is no estimate."""


@dataclass(frozen=True)
class Load:
    """A node over the last `WINDOW` days. Traffic is bytes, both ways; `days` is how many of them were measured."""

    peers: int
    added: int
    """Peers that came, less those that went."""
    active: int
    """Peers that moved anything."""
    traffic: int
    days: int
    capacity: int | None
    traffic_limit: int | None


@dataclass(frozen=True)
class CapacityPlan:
    """What follows. `per_active`: bytes per active peer in 30 days; `room`: peers that still fit, None: unknown."""

    per_active: int
    traffic_month: int
    """Bytes in 30 days at the measured pace."""
    room: int | None
    full_on: date | None
    why: str
    """`peers` or `traffic`: what runs out first; empty when nothing does."""


def estimate(load: Load, today: date) -> CapacityPlan:
    """Return what follows from a node's load.

    By peers: capacity less peers, at the pace of the last 30 days. By traffic: the limit divided by what one peer of
    the node moves on average is the number of peers that it carries; the rest is the same.
    """
    month = load.traffic * WINDOW // max(load.days, 1)
    per_active = month // load.active if load.active else 0
    rooms = []
    if load.capacity is not None:
        rooms.append((load.capacity - load.peers, "peers"))
    if load.traffic_limit is not None and month and load.peers:
        rooms.append((load.traffic_limit * load.peers // month - load.peers, "traffic"))
    if not rooms:
        return CapacityPlan(per_active, month, None, None, "")
    room, why = min(rooms)
    if room <= 0:
        return CapacityPlan(per_active, month, 0, today, why)
    if load.added <= 0:
        return CapacityPlan(per_active, month, room, None, "")
    days = -(-room * WINDOW // load.added)
    if days > FAR:
        return CapacityPlan(per_active, month, room, None, "")
    return CapacityPlan(per_active, month, room, today + timedelta(days=days), why)
