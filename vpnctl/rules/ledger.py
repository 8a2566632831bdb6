"""The traffic ledger's decisions: what a reading adds, and to which days. Pure.

A node's counters begin at zero again when it boots, when the interface is made anew and when the peer is. A reading
of another epoch is therefore added whole; within an epoch only the difference is. Bytes are what the node counts:
`rx` is what it received from the device, `tx` what it sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from vpnctl.rules.months import midnight_after

FASTEST = 100 * 10**9 // 8
"""Bytes a second that a peer can have moved at most (100 Gbit/s); a node that counts more is lying."""
OVERTAKEN = timedelta(minutes=10)
ANY_LINK = 0
"""The interface index of a cursor that was written before indexes were read."""


@dataclass(frozen=True)
class Reading:
    """A peer's counters as read at one moment. `link` is the interface's index, `handshake` Unix seconds or 0."""

    boot_id: str
    link: int
    rx: int
    tx: int
    handshake: int
    read_at: datetime


def gained(cursor: Reading | None, reading: Reading, born: datetime) -> tuple[int, int]:
    """Return the bytes (rx, tx) that passed since the cursor, or since the peer was `born` there without one."""
    since = cursor.read_at if cursor else born
    most = FASTEST * max(1, int((reading.read_at - since).total_seconds()) + 1)
    if cursor is None or not _same_epoch(cursor, reading):
        return min(reading.rx, most), min(reading.tx, most)
    return min(reading.rx - cursor.rx, most), min(reading.tx - cursor.tx, most)


def stale(cursor: Reading, reading: Reading) -> bool:
    """Return whether somebody who looked later has booked already: then this reading says nothing."""
    early = timedelta(0) < cursor.read_at - reading.read_at < OVERTAKEN
    return early and cursor.boot_id == reading.boot_id and cursor.link == reading.link


def _same_epoch(cursor: Reading, reading: Reading) -> bool:
    """Counters begin at zero in a new epoch, so they fall. Handshakes prove nothing: a node's clock may go back."""
    return (
        cursor.boot_id == reading.boot_id
        and (cursor.link == reading.link or ANY_LINK in (cursor.link, reading.link))
        and reading.rx >= cursor.rx
        and reading.tx >= cursor.tx
    )


def spread(amount: int, since: datetime, until: datetime) -> dict[date, int]:
    """Return how `amount` falls on the days from `since` to `until` (in the zone of `until`), by time; nothing is lost.

    So what passed while nobody looked belongs to the month in which, at an even pace, it passed.
    """
    since = min(since.astimezone(until.tzinfo), until)
    whole = (until - since).total_seconds()
    if whole <= 0 or since.date() == until.date():
        return {until.date(): amount}
    found: dict[date, int] = {}
    start, left = since, amount
    while start.date() < until.date():
        end = midnight_after(start)
        part = min(left, int(amount * ((end.timestamp() - start.timestamp()) / whole)))
        found[start.date()], left, start = part, left - part, end
    found[until.date()] = left
    return {day: part for day, part in found.items() if part} or {until.date(): amount}
