"""Trials: once per person, also after the person's account was deleted.

What is remembered is a keyed hash of the Telegram id and of the user id; the key is sealed in the database.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

import sqlalchemy as sa

from vpnctl.actions.sales import plans, subscriptions
from vpnctl.actions.sales.subscriptions import Granted
from vpnctl.app import TRIAL_KEY, App
from vpnctl.errors import Conflict, TrialUsed
from vpnctl.rules.secret import Secret
from vpnctl.store import find, models
from vpnctl.store.engine import Tx
from vpnctl.store.rows import User
from vpnctl.store.vault import NIL


def start(app: App, name: str) -> Granted:
    """Start a user's trial. Conflict for who had one, who had a subscription before, and who needs none."""
    with app.store.write() as tx:
        user, plan = find.user(tx, name), plans.trial(tx)
        if user.unlimited:
            raise Conflict(f"{name} is unlimited and needs no trial", f"vpnctl user set {name} --limited")
        people = _hashes(tx, app, user)
        table = models.trial.c
        if tx.execute(sa.select(table.person).where(table.person.in_(people))).first():
            raise TrialUsed(f"{name} had a trial already", f"vpnctl subscription grant {name} --plan PLAN")
        if subscriptions.of(tx, user):
            raise TrialUsed(f"{name} had a subscription before; trials are for new people", "vpnctl subscription list")
        granted = subscriptions.add(tx, app, user, plan, subscriptions.Sale("trial.start", trial=True))
        row = {"subscription_id": granted.subscription.id, "started_at": app.clock()}
        tx.execute(sa.insert(models.trial), [{"person": person, **row} for person in people])
        return granted


def link(tx: Tx, app: App, user: User, telegram_id: int) -> None:
    """A user who had a trial gets a Telegram id: that account has had its trial too."""
    table = models.trial
    key = _key(tx, app)
    mine = tx.execute(sa.select(table).where(table.c.person == _hash(key, f"user:{user.id}"))).first()
    theirs = _hash(key, f"telegram:{telegram_id}")
    if mine is not None and not tx.execute(sa.select(table.c.person).where(table.c.person == theirs)).first():
        values = {"person": theirs, "subscription_id": mine.subscription_id, "started_at": mine.started_at}
        tx.execute(sa.insert(table).values(values))


def _hashes(tx: Tx, app: App, user: User) -> list[str]:
    key = _key(tx, app)
    names = [f"user:{user.id}"] + ([f"telegram:{user.telegram_id}"] if user.telegram_id is not None else [])
    return [_hash(key, name) for name in names]


def _hash(key: Secret, name: str) -> str:
    return hmac.new(key.reveal().encode(), name.encode(), hashlib.sha256).hexdigest()


def _key(tx: Tx, app: App) -> Secret:
    sealed = tx.meta(TRIAL_KEY)
    if sealed is None:
        sealed = app.vault.seal("meta.trial_key", NIL, Secret(secrets.token_hex(32)))
        tx.set_meta(TRIAL_KEY, sealed)
    return app.vault.open("meta.trial_key", NIL, sealed)
