"""Verdicts on nodes: what one look means, when it counts, and when somebody hears of it. Pure.

Hysteresis: bad after 3 bad looks in a row, good again after 2 good ones. Flapping: Naemon's method over the last 21
looks (share of changes, newer ones weigh more): muted above HIGH, heard again below LOW.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise

BAD_AFTER, GOOD_AFTER = 3, 2
KEPT = 21
HIGH, LOW = 30.0, 15.0
"""Percent."""
AGAIN = (timedelta(hours=1), timedelta(hours=4), timedelta(hours=24))
"""How long after an alert the same one is repeated; the last one over and over."""
OWN_NETWORK_FROM = 3
"""With fewer nodes than this, all of them may well be down at once."""
MANY_ONLINE = 5
"""With fewer people online nothing follows from their silence."""
DIED_TOGETHER = 0.2
"""When at most this share of those who were online still is, their sessions died together."""


class NodeVerdict(StrEnum):
    """What is thought of a node."""

    UNKNOWN = "unknown"
    UP = "up"
    DEGRADED = "degraded"
    """It serves people, but we cannot get in, or something is not right."""
    BLOCKED = "blocked"
    """The machine answers and serves, but people's packets do not reach it."""
    DOWN = "down"


@dataclass(frozen=True)
class Sighting:
    """What one look at a node found."""

    ssh: bool
    """We got in and the node script answered."""
    serving: bool
    """Every interface is up."""
    handshake: bool | None
    """A handshake from here was answered; None: there is no probe peer yet."""
    online: int
    """People with a live session."""


@dataclass(frozen=True)
class HealthState:
    """What is remembered of a node between looks. `history`: one letter a look, newest last."""

    verdict: NodeVerdict
    since: datetime
    streak: int
    history: str
    flapping: bool
    alerted: str | None
    alerted_at: datetime | None
    alerts: int


def judge(look: Sighting, online_before: int) -> NodeVerdict:
    """Return what one look means. `online_before` are the people online at the last good look."""
    if not look.ssh:
        return NodeVerdict.DEGRADED if look.handshake else NodeVerdict.DOWN
    if not look.serving:
        return NodeVerdict.DOWN
    if look.handshake is False or died_together(online_before, look.online):
        return NodeVerdict.BLOCKED
    return NodeVerdict.UP


def died_together(before: int, now: int) -> bool:
    """Return whether so many sessions ended at once that people did not just leave."""
    return before >= MANY_ONLINE and now <= DIED_TOGETHER * before


def own_network(looks: Sequence[Sighting]) -> bool:
    """Return whether so many nodes fail at once that the fault is on our side."""
    dead = sum(1 for look in looks if not look.ssh and not look.handshake)
    return len(looks) >= OWN_NETWORK_FROM and dead * 2 > len(looks)


def begin(now: datetime) -> HealthState:
    """Return the state of a node that was never looked at."""
    return HealthState(NodeVerdict.UNKNOWN, now, 0, "", False, None, None, 0)


def step(state: HealthState, found: NodeVerdict, now: datetime) -> HealthState:
    """Return the state after one more look."""
    history = (state.history + found.value[0])[-KEPT:]
    good = found is NodeVerdict.UP
    same_side = bool(state.history) and (state.history[-1] == "u") == good
    streak = state.streak + 1 if same_side else 1
    enough = streak >= (GOOD_AFTER if good else BAD_AFTER)
    change = changes(history)
    flapping = change > HIGH or (state.flapping and change >= LOW)
    verdict = found if enough else state.verdict
    since = state.since if verdict is state.verdict else now
    return replace(state, verdict=verdict, since=since, streak=streak, history=history, flapping=flapping)


def changes(history: str) -> float:
    """Return the weighted share of changes between good and bad in the history, in percent."""
    sides = [letter == "u" for letter in history]
    pairs = list(pairwise(sides))
    weights = [0.8 + 0.4 * (number + KEPT - 1 - len(pairs)) / (KEPT - 2) for number in range(len(pairs))]
    changed = sum(weight for weight, (one, two) in zip(weights, pairs, strict=True) if one != two)
    return 100 * changed / (KEPT - 1)


def alert(state: HealthState, now: datetime) -> tuple[str | None, HealthState]:
    """Return (what is to be said: a verdict, `flapping`, or None; the state that remembers it).

    A recovery is only told after its trouble was; while a node flaps, that is said once and nothing else.
    """
    if state.flapping:
        said = None if state.alerted == "flapping" else "flapping"
        return said, _said(state, "flapping", now) if said else state
    verdict = state.verdict
    if verdict is NodeVerdict.UNKNOWN:
        return None, state
    if verdict is NodeVerdict.UP:
        if state.alerted in (None, "up"):
            return None, state
        return "up", replace(_said(state, "up", now), alerts=0)
    if state.alerted != verdict:
        return str(verdict), replace(_said(state, str(verdict), now), alerts=1)
    wait = AGAIN[min(state.alerts, len(AGAIN)) - 1]
    if state.alerted_at is not None and now - state.alerted_at >= wait:
        return str(verdict), replace(_said(state, str(verdict), now), alerts=state.alerts + 1)
    return None, state


def _said(state: HealthState, what: str, now: datetime) -> HealthState:
    return replace(state, alerted=what, alerted_at=now)
