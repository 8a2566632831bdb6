"""Trials: once per person, also after the person's account was deleted.

What is remembered is a keyed hash of the Telegram id and of the user id; the key is sealed in the database.
"""

from __future__ import annotations

import sqlalchemy as sa

from vpnctl.actions.sales import plans, subscriptions
from vpnctl.actions.sales.subscriptions import Granted
from vpnctl.app import App
from vpnctl.errors import Conflict, TrialUsed
from vpnctl.store import find, models, periods
from vpnctl.store import trials as memory


def start(app: App, name: str) -> Granted:
    """Start a user's trial. Conflict for who had one, who had a subscription before, and who needs none."""
    with app.store.write() as tx:
        user, plan = find.user(tx, name), plans.trial(tx)
        if user.unlimited:
            raise Conflict(f"{name} is unlimited and needs no trial", f"vpnctl user set {name} --limited")
        people = memory.hashes(tx, app.vault, user)
        table = models.trial.c
        if tx.execute(sa.select(table.person).where(table.person.in_(people))).first():
            raise TrialUsed(f"{name} had a trial already", f"vpnctl subscription grant {name} --plan PLAN")
        if periods.of(tx, user):
            raise TrialUsed(f"{name} had a subscription before; trials are for new people", "vpnctl subscription list")
        granted = subscriptions.add(tx, app, user, plan, subscriptions.Sale("trial.start", trial=True))
        row = {"subscription_id": granted.subscription.id, "started_at": app.clock()}
        tx.execute(sa.insert(models.trial), [{"person": person, **row} for person in people])
        return granted
