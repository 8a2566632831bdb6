"""The address of a person's link: made when it is first asked for, the same until it is rotated."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from vpnctl.actions.outcome import stamp
from vpnctl.app import App
from vpnctl.errors import Busy, Conflict, StateTrouble
from vpnctl.rules import tokens
from vpnctl.rules.secret import Secret
from vpnctl.store import events, find, models
from vpnctl.store.engine import Tx
from vpnctl.store.rows import User
from vpnctl.store.serving_rows import PersonalLink

SEALED = "link.token"
PATH = "/s/"
_table = models.link.c


@dataclass(frozen=True)
class LinkAddress:
    """Where a person's apps fetch their devices. `rotated`: it is new, and the one before leads nowhere any more."""

    user: User
    url: Secret
    rotated: bool


def address(app: App, name: str, *, rotate: bool = False) -> LinkAddress:
    """Return it. Raises Conflict where the service has no address on the web."""
    if not app.settings.web_url:
        raise Conflict("the service has no address on the web", "set web_url (docs/web.md)")
    with app.store.write() as tx:
        owner = find.user(tx, name)
        return of(tx, app, owner, rotate=rotate)


def of(tx: Tx, app: App, owner: User, *, rotate: bool = False) -> LinkAddress:
    """Return it inside a transaction."""
    row = tx.one(PersonalLink, _table.user_id == owner.id)
    if row is not None and not rotate:
        token = app.vault.open(SEALED, owner.id, row.token_sealed)
    else:
        token = tokens.fresh()
        _keep(tx, app, owner, row, token)
    return LinkAddress(owner, Secret(f"{app.settings.web_url}{PATH}{token.reveal()}"), row is not None and rotate)


def _keep(tx: Tx, app: App, owner: User, row: PersonalLink | None, token: Secret) -> None:
    fresh = PersonalLink(
        user_id=owner.id,
        digest=tokens.digest(token.reveal()) or "",
        token_sealed=app.vault.seal(SEALED, owner.id, token),
        created_at=app.clock(),
    )
    if row is None:
        tx.insert(fresh)
    else:
        tx.update(PersonalLink, _table.user_id == owner.id, **vars(fresh))
    events.record(tx, stamp(app), "link.rotate" if row else "link.add", ("user", owner.id, owner.name))


def owner(app: App, token: str) -> User | None:
    """Return whose link has this secret part; None for nobody's. The day of the fetch is noted, and nothing else."""
    digest, now = tokens.digest(token), app.clock()
    if digest is None:
        return None
    with app.store.read() as tx:
        row = tx.one(PersonalLink, _table.digest == digest)
        found = None if row is None else tx.one(User, models.user.c.id == row.user_id)
    if row is None or found is None or found.removed_at is not None:
        return None
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if row.fetched_at is None or row.fetched_at < today:
        with contextlib.suppress(Busy, StateTrouble), app.store.write() as tx:
            tx.update(PersonalLink, _table.digest == digest, fetched_at=today)
    return found
