"""After a restore: who ran out by the backup, and is let in by the nodes, may have renewed since."""

from __future__ import annotations

from collections.abc import Collection

from vpnctl.actions.fleet.desired import View
from vpnctl.actions.sales import subscriptions
from vpnctl.actions.sales.subscriptions import GRACE, Sale
from vpnctl.app import App
from vpnctl.rules.access import Reason, why_not_person
from vpnctl.rules.observed import Observed
from vpnctl.store import models
from vpnctl.store.engine import Tx
from vpnctl.store.people import person
from vpnctl.store.rows import Plan, User

DAYS = 7
"""How long they are kept: time to look up what they paid."""
RENEWABLE = frozenset({Reason.ENDED, Reason.NO_ACCESS, Reason.QUOTA, Reason.PERIOD_QUOTA})
"""What a purchase since would have ended."""


def ran_out(view: View, observed: Observed) -> dict[str, str]:
    """Return user name -> why they may not connect, for those whom a purchase would let in and who are let in there."""
    names = {endpoint.id: endpoint.name for endpoint in view.endpoints}
    found = {}
    for peer in view.peers:
        reason, seen = view.reasons[peer.id], observed.endpoints.get(names[peer.endpoint_id])
        if reason in RENEWABLE and seen is not None and peer.identity in seen.live:
            found[view.owners[peer.user_id]] = str(reason)
    return found


def keep(tx: Tx, app: App, names: Collection[str]) -> None:
    """Give these users `DAYS` without limits from now, beside what they have."""
    now = app.clock()
    for name in sorted(names):
        user = tx.one(User, models.user.c.name == name, models.user.c.removed_at.is_(None))
        if user is not None and why_not_person(person(tx, user, now), now) in RENEWABLE:
            subscriptions.add(tx, app, user, _terms(app), Sale("subscription.grant", at_once=True))


def _terms(app: App) -> Plan:
    return Plan(
        id="",
        name=GRACE,
        title="",
        days=DAYS,
        locations=[],
        prices={},
        trial=False,
        on_sale=False,
        created_at=app.clock(),
    )
