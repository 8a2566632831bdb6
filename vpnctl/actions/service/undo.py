"""Taking back what one run of a command did, as far as time has not overtaken it.

A run is found by the id that its events bear. What can be taken back: suspending and letting in again (devices,
people), granted and extended periods that nobody paid for, and moves whose new device was not heard of yet.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import sqlalchemy as sa

from vpnctl.actions.bulk import NotDone
from vpnctl.actions.outcome import Done, stamp
from vpnctl.actions.people import peers, users
from vpnctl.actions.sales.taking_back import take_back
from vpnctl.app import App
from vpnctl.errors import Conflict, InvalidInput, NotFound
from vpnctl.reports.audit import EventView, of_run, of_subject
from vpnctl.store import events, models
from vpnctl.store.engine import Tx
from vpnctl.store.rows import Peer, Subscription, User
from vpnctl.store.vault import NIL

_event = models.event.c
BY_PEOPLE = tuple(f"subscription.{verb}" for verb in ("grant", "extend", "buy", "upgrade", "cancel"))
"""What somebody did to a person's access; the clock's own events change nothing of it."""
SHORTEST = 8
"""Characters of a run's id; fewer might mean several."""


@dataclass(frozen=True)
class Undone:
    """What was taken back, in words of the audit, and what was not."""

    run: str
    taken_back: tuple[str, ...]
    not_done: tuple[NotDone, ...]


class Overtaken(Conflict):
    """Something else happened since, or time itself has made it true."""


def undo(app: App, run: str) -> Done[Undone]:
    """Take back what a run did, the last first, in one transaction. NotFound for no such run.

    What was overtaken stays and is named; run again, all of it is.
    """
    if len(run) < SHORTEST or not set(run) <= set("0123456789abcdef-"):
        raise InvalidInput(
            "that is not the id of a run", "vpnctl event list --json shows them; 8 characters are enough"
        )
    done: list[str] = []
    left: list[NotDone] = []
    nodes: set[str] = set()
    with app.store.joint() as store:
        here = replace(app, store=store)
        with store.read() as tx:
            found = of_run(tx, run)
        if not found:
            raise NotFound(f"there is no run {run}", "vpnctl event list --json")
        for event in reversed(found):
            back = _BACK.get(event.verb)
            if back is None:
                continue
            try:
                nodes |= set(back(here, event))
                done.append(f"{event.verb} {event.subject}")
            except (Conflict, InvalidInput, NotFound) as error:
                left.append(NotDone(f"{event.verb} {event.subject}", error.what, error.hint))
        if not done and not left:
            kinds = ", ".join(sorted({event.verb for event in found}))
            raise Conflict(f"nothing of that run can be taken back ({kinds})", f"one of: {', '.join(sorted(_BACK))}")
        with store.write() as tx:
            label = ("service", NIL, "service")
            events.record(tx, stamp(here), "event.undo", label, None, {"run": found[0].run_id, "undone": len(done)})
    return Done(Undone(found[0].run_id, tuple(done), tuple(left)), sorted(nodes))


def _untouched(tx: Tx, event: EventView, *verbs: str) -> None:
    """Raise Overtaken where one of these happened to the same subject since."""
    same = (_event.subject_id == event.subject_id, _event.seq > event.seq, _event.verb.in_(verbs))
    later = tx.execute(sa.select(_event.verb, _event.at).where(*same).order_by(_event.seq)).first()
    if later is not None:
        raise Overtaken(f"{later.verb} at {later.at:%Y-%m-%d %H:%M} UTC came after it", "nothing is to be done")


def _device(tx: Tx, event: EventView) -> str:
    """Return USER/DEVICE@NODE of the peer that an event is about, as it is called now."""
    peer = tx.one(Peer, models.peer.c.id == event.subject_id, models.peer.c.revoked_at.is_(None))
    if peer is None:
        raise Overtaken("the device was revoked or renewed since", "nothing is to be done")
    owner = tx.one(User, models.user.c.id == peer.user_id)
    _, node = peers.place(tx, peer)
    return f"{owner.name if owner else '?'}/{peer.device}@{node.name}"


def _switch(verb: Callable[[App, str], Done[peers.OwnedPeer]]) -> Callable[[App, EventView], Sequence[str]]:
    def back(app: App, event: EventView) -> Sequence[str]:
        with app.store.read() as tx:
            _untouched(tx, event, "peer.suspend", "peer.resume", "peer.revoke")
            name = _device(tx, event)
        return verb(app, name).node_ids

    return back


def _person(verb: Callable[[App, str], Done[User]]) -> Callable[[App, EventView], Sequence[str]]:
    def back(app: App, event: EventView) -> Sequence[str]:
        with app.store.read() as tx:
            _untouched(tx, event, "user.block", "user.unblock", "user.remove")
            user = tx.one(User, models.user.c.id == event.subject_id, models.user.c.removed_at.is_(None))
        if user is None:
            raise Overtaken("that person was removed since", "nothing is to be done")
        return verb(app, user.name).node_ids

    return back


def _period(app: App, event: EventView, *, alone: bool = False) -> Sequence[str]:
    """`alone`: nothing else of its run is taken back with it."""
    with app.store.write() as tx:
        row = tx.one(Subscription, models.subscription.c.id == event.subject_id)
        user = tx.one(User, models.user.c.id == row.user_id, models.user.c.removed_at.is_(None)) if row else None
        if row is None or user is None:
            raise Overtaken("that person was removed since", "nothing is to be done")
        if row.payment is not None:
            raise Conflict("it was paid for", f"vpnctl subscription cancel {user.name}")
        _untouched(tx, event, "subscription.cancel")
        theirs = sa.select(models.subscription.c.id).where(models.subscription.c.user_id == user.id)
        newer = (_event.subject_id.in_(theirs), _event.verb.in_(BY_PEOPLE), _event.seq > event.seq)
        others = sa.true() if alone else _event.run_id != event.run_id
        later = tx.execute(sa.select(_event.verb).where(*newer, others)).first()
        if later is not None:
            raise Overtaken(f"{later.verb} came after it", f"vpnctl subscription list --user {user.name}")
        unlimited = bool((event.before or {}).get("unlimited"))
        return take_back(tx, app, user, row, unlimited=unlimited)


def period(app: App, subscription_id: str) -> Done[None]:
    """Take back one period that an admin gave. Conflict where it was paid for, or something came after it."""
    with app.store.joint() as store, store.read() as tx:
        event = of_subject(tx, subscription_id, ("subscription.grant", "subscription.extend"))
        if event is None:
            raise NotFound("nobody gave that period", "vpnctl subscription list")
        return Done(None, list(_period(replace(app, store=store), event, alone=True)))


def _move(app: App, event: EventView) -> Sequence[str]:
    with app.store.read() as tx:
        name = _device(tx, event)
        new = tx.one(Peer, models.peer.c.id == event.subject_id)
        old = tx.one(Peer, models.peer.c.id == new.replaces_id, models.peer.c.revoked_at.is_(None)) if new else None
        if new is None or new.handshake_at is not None:
            raise Overtaken("the device connects at its new place already", f"vpnctl user migrate {name.split('/')[0]}")
        if old is None:
            raise Overtaken("the old device is gone", "nothing is to be done")
    return peers.revoke(app, name).node_ids


_BACK: dict[str, Callable[[App, EventView], Sequence[str]]] = {
    "peer.suspend": _switch(peers.resume),
    "peer.resume": _switch(peers.suspend),
    "peer.migrate": _move,
    "user.block": _person(users.unblock),
    "user.unblock": _person(users.block),
    "subscription.grant": _period,
    "subscription.extend": _period,
}
"""Verb of an event -> what takes it back; it returns the nodes that have to hear of it."""
