"""Who had a trial, remembered also after the account was deleted.

What is kept is a keyed hash of the Telegram id and of the user id; the key is sealed in the database.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

import sqlalchemy as sa

from vpnctl.rules.secret import Secret
from vpnctl.store import models
from vpnctl.store.engine import Tx
from vpnctl.store.rows import User
from vpnctl.store.vault import NIL, Vault

KEY = "trial_key"


def link(tx: Tx, vault: Vault, user: User, telegram_id: int) -> None:
    """A user who had a trial gets a Telegram id: that account has had its trial too."""
    table = models.trial
    key = _key(tx, vault)
    mine = tx.execute(sa.select(table).where(table.c.person == _hash(key, f"user:{user.id}"))).first()
    theirs = _hash(key, f"telegram:{telegram_id}")
    if mine is not None and not tx.execute(sa.select(table.c.person).where(table.c.person == theirs)).first():
        values = {"person": theirs, "subscription_id": mine.subscription_id, "started_at": mine.started_at}
        tx.execute(sa.insert(table).values(values))


def hashes(tx: Tx, vault: Vault, user: User) -> list[str]:
    key = _key(tx, vault)
    names = [f"user:{user.id}"] + ([f"telegram:{user.telegram_id}"] if user.telegram_id is not None else [])
    return [_hash(key, name) for name in names]


def _hash(key: Secret, name: str) -> str:
    return hmac.new(key.reveal().encode(), name.encode(), hashlib.sha256).hexdigest()


def _key(tx: Tx, vault: Vault) -> Secret:
    sealed = tx.meta(KEY)
    if sealed is None:
        sealed = vault.seal("meta.trial_key", NIL, Secret(secrets.token_hex(32)))
        tx.set_meta(KEY, sealed)
    return vault.open("meta.trial_key", NIL, sealed)
