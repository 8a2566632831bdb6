"""A person's link: what one app reads to have all of their devices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vpnctl.actions.people.configs import entry
from vpnctl.actions.people.issue import Issued
from vpnctl.actions.people.peers import opened
from vpnctl.app import App
from vpnctl.errors import Conflict, InvalidInput, StateTrouble
from vpnctl.protocols.interface import ClientKind, Entry
from vpnctl.rules.access import Reason, why_not, why_not_person
from vpnctl.rules.grammar import clean
from vpnctl.rules.secret import Secret
from vpnctl.store import find, models
from vpnctl.store.people import node_limits, person, standing
from vpnctl.store.rows import Peer
from vpnctl.texts import link
from vpnctl.texts.reasons import why
from vpnctl.texts.words import Words


@dataclass(frozen=True)
class Link:
    """The text, the devices in it, those that are left out of it, and why there may be none at all.

    Left out: `closed` may not connect now, `left_out` the app cannot carry, or their key is not kept.
    """

    text: Secret
    peers: tuple[Issued, ...]
    left_out: tuple[str, ...]
    ended: Reason | None
    closed: tuple[str, ...] = ()


def written(app: App, name: str, form: str) -> Link:
    """Return what the person's app reads; somebody without access gets one entry that says why.

    InvalidInput where there is no such form.
    """
    if form not in tuple(ClientKind):
        raise InvalidInput(f"'{clean(form)}' is no format of a link", f"one of: {', '.join(ClientKind)}")
    kind = ClientKind(form)
    now = app.clock()
    taken: list[tuple[Issued, Entry]] = []
    left_out: list[str] = []
    closed: list[str] = []
    titles: set[tuple[str, str]] = set()
    with app.store.read() as tx:
        owner = find.user(tx, name)
        who = person(tx, owner, now)
        ended = why_not_person(who, now)
        table = models.peer.c
        rows = tx.all(Peer, table.user_id == owner.id, table.revoked_at.is_(None), order=table.created_at.desc())
        limits = node_limits(tx, {owner.id: who}, now)
        for peer in [] if ended else in_use(rows):
            if why_not(standing(who, peer, limits), now) is not None:
                closed.append(peer.device)
                continue
            try:
                issued = opened(tx, app, owner, peer)
                made = entry(app, issued, kind)
            except (Conflict, StateTrouble):  # its private key is not kept, or does not open
                made = None
            if made is None:
                left_out.append(peer.device)
            elif (issued.node.name, peer.device) not in titles:  # apps refuse two of one name
                titles.add((issued.node.name, peer.device))
                taken.append((issued, made))
    said = str(why(Words(owner.locale), ended)) if ended else ""
    text = link.written(kind, [made for _, made in taken], said)
    return Link(text, tuple(issued for issued, _ in taken), tuple(dict.fromkeys(left_out)), ended, tuple(closed))


def in_use(rows: Sequence[Peer]) -> list[Peer]:
    """Return a person's peers by device; one that is being replaced only as long as its successor was not seen."""
    seen = {peer.device for peer in rows if peer.retiring_at is None and peer.present_at is not None}
    kept = [peer for peer in rows if peer.retiring_at is None or peer.device not in seen]
    return sorted(kept, key=lambda peer: peer.device)
