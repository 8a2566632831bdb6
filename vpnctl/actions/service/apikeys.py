"""Keys to the API: shown once, kept as a hash, with scopes and an end."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from vpnctl.actions.outcome import stamp
from vpnctl.app import App
from vpnctl.errors import Busy, Conflict, NotFound, StateTrouble
from vpnctl.rules import grammar, tokens
from vpnctl.rules.scopes import scopes
from vpnctl.rules.secret import Secret
from vpnctl.store import events, models
from vpnctl.store.engine import Tx
from vpnctl.store.serving_rows import ApiKey

PREFIX = "vpnctl_"
"""By it, programs that look for leaked secrets can tell what it is."""
SEEN = timedelta(minutes=1)
"""How exactly it is noted when a key was last used."""
_table = models.api_key.c


@dataclass(frozen=True)
class NewKey:
    """A key, as it is shown once."""

    row: ApiKey
    key: Secret


def add(app: App, name: str, words: Sequence[str], days: int | None) -> NewKey:
    """Make a key that ends after `days` (None: never). Raises Conflict when a key of that name lives."""
    made, now = tokens.fresh(PREFIX), app.clock()
    row = ApiKey(
        id=str(uuid.uuid4()),
        name=grammar.name(name, "key name"),
        digest=tokens.digest(made.reveal(), PREFIX) or "",
        scopes=[str(each) for each in scopes(words)],
        created_at=now,
        created_by=app.actor,
        expires_at=now + timedelta(days=days) if days else None,
    )
    with app.store.write() as tx:
        if _living(tx, row.name) is not None:
            raise Conflict(f"there is a key {row.name} already", f"vpnctl apikey revoke {row.name}")
        tx.insert(row)
        after = {"scopes": row.scopes, "expires_at": row.expires_at.isoformat() if row.expires_at else None}
        events.record(tx, stamp(app), "apikey.add", ("apikey", row.id, row.name), None, after)
    return NewKey(row, made)


def revoke(app: App, name: str) -> ApiKey:
    """End a key at once. Raises NotFound."""
    with app.store.write() as tx:
        row = _living(tx, name)
        if row is None:
            raise NotFound(f"there is no key {grammar.clean(name)}", "vpnctl apikey list")
        tx.update(ApiKey, _table.id == row.id, revoked_at=app.clock())
        events.record(tx, stamp(app), "apikey.revoke", ("apikey", row.id, row.name))
    return row


def _living(tx: Tx, name: str) -> ApiKey | None:
    return tx.one(ApiKey, _table.name == name, _table.revoked_at.is_(None))


def valid(app: App, text: str) -> ApiKey | None:
    """Return the key that `text` is, unless it is unknown, revoked or over."""
    digest, now = tokens.digest(text, PREFIX), app.clock()
    if digest is None:
        return None
    with app.store.read() as tx:
        row = tx.one(ApiKey, _table.digest == digest)
    if row is None or row.revoked_at is not None or (row.expires_at is not None and row.expires_at <= now):
        return None
    if row.used_at is None or not timedelta(0) <= now - row.used_at < SEEN:
        with contextlib.suppress(Busy, StateTrouble), app.store.write() as tx:
            tx.update(ApiKey, _table.id == row.id, used_at=now)
    return row
