"""Verbs on peers: one device's credential on one endpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa

from vpnctl.actions.fleet.desired import peer_spec
from vpnctl.actions.outcome import Done, stamp
from vpnctl.actions.people.issue import Issued, Room, Wanted, issue, mint, refuse_known_keys
from vpnctl.app import App
from vpnctl.errors import Conflict
from vpnctl.protocols import plugin
from vpnctl.protocols.interface import BadOption
from vpnctl.protocols.own import carried, own
from vpnctl.rules import grammar
from vpnctl.store import events, find, models
from vpnctl.store.engine import Tx
from vpnctl.store.queue import expect_change, fence
from vpnctl.store.queue import wanted as may_connect
from vpnctl.store.rows import Endpoint, Node, Peer, User

_CHUNK = 500
_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class OwnedPeer:
    """A peer, and whose it is."""

    user: User
    peer: Peer


def add(app: App, wanted: Sequence[Wanted]) -> list[Issued]:
    """Add peers, all or none, in one transaction."""
    with app.store.write() as tx:
        return issue(tx, app, wanted)


def regen(app: App, text: str, *, public_key: str | None = None, overlap: bool = False) -> Issued:
    """Give a device new keys. The old key ends at once, and with it those that a move or renewal has still left.

    With `overlap` it ends at the new one's first handshake, or when the grace after delivery is over.
    """
    with app.store.write() as tx:
        owner, (old, *older) = find.generations(tx, text, everywhere=True)
        current = next((each for each in (old, *older) if each.retiring_at is None), old)
        endpoint, node = place(tx, old)
        if public_key is None and old.own_key:
            raise Conflict(
                f"the private key of {owner.name}/{old.device} is the user's own", "give the new one: --public-key KEY"
            )
        elsewhere: tuple[str, ...] = ()
        replaced = old
        if overlap:
            replaced, elsewhere = supersede(tx, app, owner, current)
            pair = Room(tx, app).addresses(endpoint)
        else:
            pair = (old.ipv4, old.ipv6)
            revoke_rows(tx, app, [old], owner.name, release=True)
            revoke_rows(tx, app, older, owner.name)
        new = mint(app, owner, old.device, (endpoint, node), pair, public_key)
        peer = replace(
            new.peer,
            replaces_id=replaced.id,
            suspended_at=current.suspended_at,
            expires_at=current.expires_at,
            options=carried(plugin(endpoint.protocol), endpoint.options, current.options),
        )
        refuse_known_keys(tx, [new] if public_key else [])
        tx.insert(peer)
        after = {"replaces": old.id, "overlap": overlap}
        events.record(tx, stamp(app), "peer.regen", ("peer", peer.id, f"{owner.name}/{old.device}"), None, after)
        return replace(new, peer=peer, elsewhere=tuple(_nodes(tx, older)) if not overlap else elsewhere)


def supersede(tx: Tx, app: App, owner: User, current: Peer) -> tuple[Peer, tuple[str, ...]]:
    """Make room for one more generation of a device: the one in use and the new one live, no others.

    Where `current` was never used while its predecessor still lives, that one is in use: `current` ends. Else what is
    older than `current` ends. The one in use lives until the new one is used or its grace is over, whatever ended it
    before. Return (the one in use, further nodes to settle).
    """
    table = models.peer.c
    where = (table.user_id == owner.id, table.device == current.device, table.revoked_at.is_(None))
    older = tx.all(Peer, *where, table.id != current.id, order=table.created_at.desc())
    unused = current.handshake_at is None and bool(older)
    in_use, ended = (older[0], [current, *older[1:]]) if unused else (current, older)
    revoke_rows(tx, app, ended, owner.name)
    values = {"retiring_at": in_use.retiring_at or app.clock(), "expires_at": current.expires_at}
    tx.update(Peer, table.id == in_use.id, **values)
    fence(tx, app.clock(), table.id == in_use.id)
    return in_use, tuple(_nodes(tx, ended))


def suspend(app: App, text: str) -> Done[OwnedPeer]:
    """Cut a device for now; key and address are kept."""
    return _mark(app, text, "peer.suspend", {"suspended_at": app.clock()}, unless="suspended_at")


def resume(app: App, text: str) -> Done[OwnedPeer]:
    """Let a suspended peer in again."""
    return _mark(app, text, "peer.resume", {"suspended_at": None})


def _mark(app: App, text: str, verb: str, values: dict[str, Any], unless: str = "") -> Done[OwnedPeer]:
    with app.store.write() as tx:
        owner, peers = find.generations(tx, text)
        for peer in peers:
            changed = {key: value for key, value in values.items() if getattr(peer, key) != value}
            if changed and not (unless and getattr(peer, unless)):
                tx.update(Peer, models.peer.c.id == peer.id, **changed)
                expect_change(tx, app.clock(), models.peer.c.id == peer.id)
                events.record(tx, stamp(app), verb, ("peer", peer.id, f"{owner.name}/{peer.device}"))
        return Done(OwnedPeer(owner, _again(tx, peers[0])), _nodes(tx, peers))


def revoke(app: App, text: str) -> Done[OwnedPeer]:
    """Revoke a device for good. It is *revoked* once its absence was read on the node."""
    with app.store.write() as tx:
        owner, peers = find.generations(tx, text)
        revoke_rows(tx, app, peers, owner.name)
        left = reinstate(tx, app, owner, peers[0])
        return Done(OwnedPeer(owner, _again(tx, peers[0])), _nodes(tx, [*peers, *left]))


def reinstate(tx: Tx, app: App, owner: User, gone: Peer) -> list[Peer]:
    """Where the newest peer of a device was revoked alone, the newest that is left is the device again.

    It was about to end in favour of `gone`; now it stays as long as that one would have. One whose end has come stays
    ended. Return it, if there is one.
    """
    now = app.clock()
    table = models.peer.c
    where = (table.user_id == owner.id, table.device == gone.device, table.revoked_at.is_(None))
    left = tx.all(Peer, *where, order=table.created_at.desc())
    alive = [peer for peer in left if peer.expires_at is None or peer.expires_at > now]
    if not alive or any(peer.retiring_at is None for peer in left):
        return []
    newest, *older = alive
    values = {"retiring_at": None, "expires_at": gone.expires_at, "replaces_id": older[0].id if older else None}
    tx.update(Peer, table.id == newest.id, **values)
    expect_change(tx, now, table.id == newest.id)
    events.record(tx, stamp(app), "peer.reinstate", ("peer", newest.id, f"{owner.name}/{newest.device}"))
    return [newest]


def _nodes(tx: Tx, peers: Sequence[Peer]) -> list[str]:
    return sorted({place(tx, peer)[1].id for peer in peers})


def revoke_rows(tx: Tx, app: App, peers: Sequence[Peer], owner: str, *, release: bool = False) -> None:
    """Turn live peers into tombstones: secrets go, the public identity stays. `release` frees the address now."""
    for peer in peers:
        expect_change(tx, app.clock(), models.peer.c.id == peer.id)
        values: dict[str, Any] = {"revoked_at": app.clock(), "secret_sealed": None, "shared_sealed": None}
        values |= {"ipv4": None, "ipv6": None} if release else {}
        tx.update(Peer, models.peer.c.id == peer.id, **values)
        events.record(tx, stamp(app), "peer.revoke", ("peer", peer.id, f"{owner}/{peer.device}"))


def change(app: App, text: str, device: str | None = None, options: Mapping[str, Any] = _NOTHING) -> OwnedPeer:
    """Rename a device, or give it options of its own; None takes one back: then it has its endpoint's.

    BadOption for one that is not a client's business, or does not fit the others.
    """
    with app.store.write() as tx:
        owner, (peer, *others) = find.generations(tx, text, everywhere=True)
        endpoint, _ = place(tx, peer)
        had = peer.options or {}
        unknown = [name for name, value in options.items() if value is None and name not in had]
        if unknown:
            raise BadOption(unknown[0], "it has none of its own of that name")
        whole = {name: value for name, value in {**had, **options}.items() if value is not None}
        new: dict[str, Any] = {}
        if device is not None and device != peer.device:
            Room(tx, app).free_name(owner, grammar.name(device, "device name"))
            new["device"] = device
        if options:
            asked = own(plugin(endpoint.protocol), endpoint.options, whole)
            new |= {"options": asked or None} if asked != had else {}
        if new:
            tx.update(Peer, models.peer.c.id == peer.id, **new)
            for each in others if "device" in new else ():  # one that is being replaced is the same device still
                tx.update(Peer, models.peer.c.id == each.id, device=new["device"])
            before, name = {key: getattr(peer, key) for key in new}, f"{owner.name}/{new.get('device', peer.device)}"
            events.record(tx, stamp(app), "peer.set", ("peer", peer.id, name), before, new)
        return OwnedPeer(owner, _again(tx, peer))


def reveal(app: App, text: str) -> Issued:
    """Return a peer with its secrets, to hand out its config. Conflict when its private key is not kept here."""
    with app.store.read() as tx:
        return opened(tx, app, *find.peer(tx, text))


def reveal_id(app: App, peer_id: str) -> Issued:
    """Return a live peer with its secrets, by id; see `reveal`. Conflict when it is revoked."""
    with app.store.read() as tx:
        peer = tx.one(Peer, models.peer.c.id == peer_id, models.peer.c.revoked_at.is_(None))
        owner = tx.one(User, models.user.c.id == peer.user_id) if peer else None
        if peer is None or owner is None:
            raise Conflict("the device was revoked meanwhile")
        return opened(tx, app, owner, peer)


def unsealed(tx: Tx, app: App, owner: User, peer: Peer) -> Issued:
    """Return a peer with its secrets, as far as they are kept here."""
    endpoint, node = place(tx, peer)
    secret = app.vault.open("peer.secret", peer.id, peer.secret_sealed) if peer.secret_sealed else None
    return Issued(owner, peer, endpoint, node, secret, peer_spec(app.vault, peer).shared)


def opened(tx: Tx, app: App, owner: User, peer: Peer) -> Issued:
    """Return a peer with its secrets. Conflict when its private key is not kept here."""
    issued = unsealed(tx, app, owner, peer)
    if issued.forgotten:
        raise Conflict(
            f"the private key of {owner.name}/{peer.device} was not kept",
            f"vpnctl peer regen {owner.name}/{peer.device}",
        )
    return issued


def delivered(app: App, peer_ids: Sequence[str], how: str) -> None:
    """Note that configs reached their people; from now on the grace of the peers they replace runs.

    A successor that was not seen on its node yet does not count as delivered, for its file does not work yet; but where
    the one that it replaces does not work either, it does.
    """
    with app.store.write() as tx:
        note_delivery(tx, app, peer_ids, how)


def note_delivery(tx: Tx, app: App, peer_ids: Sequence[str], how: str) -> None:
    """See `delivered`."""
    now = app.clock()
    ends = now + timedelta(hours=app.settings.migration_grace_hours)
    table = models.peer.c
    seen = sa.or_(table.replaces_id.is_(None), table.present_at.is_not(None))
    for start in range(0, len(peer_ids), _CHUNK):
        ids = peer_ids[start : start + _CHUNK]
        ready = sa.or_(seen, table.replaces_id.in_(_not_in_use(tx, now, ids)))
        part = (table.id.in_(ids), table.revoked_at.is_(None), ready)
        successors = tx.all(Peer, *part, table.replaces_id.is_not(None), table.delivered_at.is_(None))
        tx.update(Peer, *part, delivered_at=now, delivered_how=how)
        lives = (table.retiring_at.is_not(None), table.revoked_at.is_(None))  # else its end changes nothing any more
        fence(tx, now, table.id.in_([peer.replaces_id for peer in successors]), *lives)
        for peer in successors:
            tx.update(
                Peer,
                table.id == peer.replaces_id,
                table.retiring_at.is_not(None),
                table.revoked_at.is_(None),
                sa.or_(table.expires_at.is_(None), table.expires_at > ends),
                expires_at=ends,
            )


def _not_in_use(tx: Tx, now: datetime, peer_ids: Sequence[str]) -> list[str]:
    """Return the ids of the peers that these replace and that may not connect now: nothing of them is to be kept."""
    new = models.peer.alias("new")
    query = (
        sa.select(models.peer.c.id)
        .join(models.user, models.user.c.id == models.peer.c.user_id)
        .join(new, new.c.replaces_id == models.peer.c.id)
        .where(new.c.id.in_(peer_ids), sa.not_(may_connect(now)))
    )
    return list(tx.execute(query).scalars())


def place(tx: Tx, peer: Peer) -> tuple[Endpoint, Node]:
    """Return where a peer lives."""
    endpoint = tx.one(Endpoint, models.endpoint.c.id == peer.endpoint_id)
    assert endpoint is not None  # noqa: S101 - a foreign key
    node = tx.one(Node, models.node.c.id == endpoint.node_id)
    assert node is not None  # noqa: S101
    return endpoint, node


def _again(tx: Tx, peer: Peer) -> Peer:
    found = tx.one(Peer, models.peer.c.id == peer.id)
    assert found is not None  # noqa: S101
    return found
