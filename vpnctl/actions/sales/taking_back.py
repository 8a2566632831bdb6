"""Taking one period back that was given by mistake."""

from __future__ import annotations

from vpnctl.actions.outcome import stamp
from vpnctl.actions.sales.subscriptions import closed_up, flip
from vpnctl.app import App
from vpnctl.errors import Conflict
from vpnctl.rules.access import why_not_person
from vpnctl.store import events, models, periods
from vpnctl.store.engine import Tx
from vpnctl.store.people import person
from vpnctl.store.queue import homes
from vpnctl.store.rows import Subscription, User

_table = models.subscription.c


def take_back(tx: Tx, app: App, user: User, row: Subscription, *, unlimited: bool) -> list[str]:
    """Cancel one period that was given, and close the gap behind it; return the nodes that have to hear of it.

    `unlimited`: the person was, before it was given. Conflict where it is over.
    """
    now = app.clock()
    if row.ends_at <= now or row.cancelled_at is not None:
        raise Conflict("that period is over", f"vpnctl subscription list --user {user.name}")
    before = why_not_person(person(tx, user, now), now)
    tx.update(Subscription, _table.id == row.id, cancelled_at=now, noted=2)
    rows = [each for each in periods.of(tx, user) if each.id != row.id and each.starts_at >= row.ends_at]
    closed_up(tx, rows, row.ends_at - max(row.starts_at, now), now)
    if unlimited:
        tx.update(User, models.user.c.id == user.id, unlimited=True)
    was = {"ends_at": row.ends_at.isoformat(timespec="seconds")}
    events.record(tx, stamp(app), "subscription.cancel", ("subscription", row.id, user.name), was)
    flip(tx, app, user, before)
    return homes(tx, user.id)
