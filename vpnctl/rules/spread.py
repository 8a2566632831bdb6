"""Who goes where when many people move: by free capacity, nobody where they may not go. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Goal:
    """A node that takes people: how many devices live there, and for how many it is meant (None: nobody said)."""

    name: str
    load: int
    capacity: int | None


@dataclass(frozen=True)
class Mover:
    """A person: how many devices move with them, and to which goals they may go."""

    name: str
    devices: int
    allowed: frozenset[str]


def spread(movers: Sequence[Mover], goals: Sequence[Goal]) -> dict[str, str]:
    """Return person -> goal. Who is in it for no goal may go nowhere, or finds no room.

    Most devices first, each to the goal that has most room then: what is left of its capacity, or where nobody stated
    one, the fewest devices. Devices of one person stay together.
    """
    load = {goal.name: goal.load for goal in goals}
    capacity = {goal.name: goal.capacity for goal in goals}
    found: dict[str, str] = {}
    for mover in sorted(movers, key=lambda each: (-each.devices, each.name)):
        open_ = [name for name in load if name in mover.allowed and _fits(load[name], mover.devices, capacity[name])]
        if open_:
            best = max(open_, key=lambda name: (_room(load[name], capacity[name]), -load[name], name))
            load[best] += mover.devices
            found[mover.name] = best
    return found


def _fits(load: int, devices: int, capacity: int | None) -> bool:
    return capacity is None or load + devices <= capacity


def _room(load: int, capacity: int | None) -> int:
    return 10**9 if capacity is None else capacity - load


def fair(goals: Sequence[Goal]) -> Mapping[str, int]:
    """Return how many devices each node should have: by capacity where all have one, else the same for each."""
    total = sum(goal.load for goal in goals)
    weights = {goal.name: goal.capacity or 0 for goal in goals}
    if not all(weights.values()):
        weights = dict.fromkeys(weights, 1)
    whole = sum(weights.values())
    return {name: -(-total * weight // whole) for name, weight in weights.items()}
