"""Moving people: make before break, resumable at every step.

Issue on the target, settle it, deliver; the old peer lives until the new one's first handshake, or until the
grace after confirmed delivery is over. Undelivered, the old peer stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from vpnctl.actions.fleet.desired import peer_spec
from vpnctl.actions.outcome import stamp
from vpnctl.actions.people.issue import Issued, Wanted, issue
from vpnctl.actions.people.peers import place, reinstate, revoke_rows, supersede
from vpnctl.actions.people.placing import Place, staying
from vpnctl.app import App
from vpnctl.errors import Conflict, InvalidInput, NotFound, StateTrouble
from vpnctl.protocols import plugin
from vpnctl.protocols.own import carried
from vpnctl.rules.access import Reason, why_not
from vpnctl.store import events, find, models, restored
from vpnctl.store.engine import Tx
from vpnctl.store.people import person, standing
from vpnctl.store.rows import Endpoint, Node, Peer, User


@dataclass(frozen=True)
class Moved:
    """One device on its way: the peer on the target, and the one that it replaces."""

    new: Issued
    old: Peer
    old_node: Node
    dropped: tuple[str, ...] = ()
    """Options of its own that it does not keep: the target's endpoint knows no such, or they do not fit there."""


@dataclass(frozen=True)
class Destination:
    """Where people are moved: a node, and there an endpoint or a protocol where these are named.

    Without, protocol and generation stay, and a device that is on the node is there. With an endpoint alone, only
    devices of its protocol are meant.
    """

    node: str
    endpoint: str | None = None
    protocol: str | None = None

    def has(self, endpoint: Endpoint) -> bool:
        """Whether an endpoint of the node is meant."""
        return self.endpoint in (None, endpoint.name) and self.protocol in (None, endpoint.protocol)


@dataclass(frozen=True)
class Left:
    """Somebody who was left where they are, and why, with what to type."""

    user: str
    why: str
    hint: str


def start_all(
    app: App,
    names: Sequence[str],
    target: Destination,
    *,
    device: str | None = None,
    source: str | None = None,
    untested: bool = False,
) -> tuple[list[Moved], list[Left]]:
    """Issue successors for everybody who can be moved, in one transaction; whoever cannot is left and named.

    A mistake in the wish itself (no such node) is raised, for it concerns everybody. Run again it finishes what was
    begun.
    """
    moved: list[Moved] = []
    left: list[Left] = []
    with app.store.joint() as store:
        with store.read() as tx:
            _goal(tx, target, source, untested=untested)
        for name in names:
            try:
                moved += start(replace(app, store=store), name, target, device=device, source=source, untested=untested)
            except (Conflict, InvalidInput, NotFound, StateTrouble) as error:
                left.append(Left(name, error.what, error.hint))
    return moved, left


def _goal(tx: Tx, target: Destination, source: str | None, *, untested: bool) -> tuple[Node, str | None]:
    """Return (target, id of the source); Conflict when nobody can be moved so."""
    goal = find.node(tx, target.node)
    if target.endpoint is not None:
        find.endpoint(tx, goal, target.endpoint)
    if goal.draining_at is not None:
        raise Conflict(f"node {goal.name} is being drained", "choose another target")
    if goal.path_error is not None and not untested:
        raise Conflict(
            f"packets do not pass {goal.name}: {goal.path_error}",
            f"vpnctl node check {goal.name} says more; to move people there all the same: --untested",
        )
    from_id = find.node(tx, source).id if source else None
    if from_id == goal.id and target.endpoint is None and target.protocol is None:
        raise Conflict("source and target are the same node", "within a node: --endpoint or --protocol")
    return goal, from_id


def start(
    app: App,
    name: str,
    target: Destination,
    *,
    device: str | None = None,
    source: str | None = None,
    untested: bool = False,
) -> list[Moved]:
    """Issue successors at `target` for each live peer of the user that is elsewhere.

    Conflict where packets were tried through the target and did not pass, unless `untested` is good enough.

    Run again it returns the same successors: no duplicate. An empty list means that everybody is there already.
    """
    with app.store.write() as tx:
        owner = find.user(tx, name)
        goal, from_id = _goal(tx, target, source, untested=untested)
        moved = _underway(tx, app, owner, goal, target)
        only = None if target.endpoint is None or target.protocol else find.endpoint(tx, goal, target.endpoint).protocol
        movable = [pair for pair in _elsewhere(tx, app, owner, goal, target) if from_id in (None, pair[1].id)]
        for _, node in movable:
            restored.refuse(tx, node.id, node.name)
        for old, node in movable:
            if device in (None, old.device) and only in (None, place(tx, old)[0].protocol):
                back = _taken_back(tx, app, owner, old, node, target)
                moved.append(back or _move(tx, app, owner, old, node, target))
        if device is not None and all(each.old.device != device for each in moved):
            raise NotFound(
                f"{owner.name}/{device} has nothing to move to {goal.name}", f"vpnctl peer list --user {owner.name}"
            )
    return [each for each in moved if device in (None, each.old.device)]


def _elsewhere(tx: Tx, app: App, owner: User, goal: Node, target: Destination) -> list[tuple[Peer, Node]]:
    table = models.peer.c
    who = person(tx, owner, app.clock())
    found = []
    for peer in tx.all(
        Peer, table.user_id == owner.id, table.revoked_at.is_(None), table.retiring_at.is_(None), order=table.device
    ):
        endpoint, node = place(tx, peer)
        there = node.id == goal.id and target.has(endpoint)
        if not there and why_not(standing(who, peer), app.clock()) is not Reason.EXPIRED:
            found.append((peer, node))
    return found


def _underway(tx: Tx, app: App, owner: User, goal: Node, target: Destination) -> list[Moved]:
    """Return moves to `goal` that an earlier run began and nobody has finished."""
    table = models.peer.c
    moved = []
    for peer in tx.all(
        Peer, table.user_id == owner.id, table.revoked_at.is_(None), table.replaces_id.is_not(None), order=table.device
    ):
        endpoint, node = place(tx, peer)
        old = tx.one(Peer, table.id == peer.replaces_id)
        there = node.id == goal.id and target.has(endpoint)
        if there and old is not None and old.revoked_at is None and old.endpoint_id != endpoint.id:
            moved.append(Moved(_opened(app, owner, peer, (endpoint, node)), old, place(tx, old)[1]))
    return moved


def _opened(app: App, owner: User, peer: Peer, where: Place) -> Issued:
    secret = app.vault.open("peer.secret", peer.id, peer.secret_sealed) if peer.secret_sealed else None
    return Issued(owner, peer, *where, secret, peer_spec(app.vault, peer).shared)


def _taken_back(tx: Tx, app: App, owner: User, old: Peer, node: Node, target: Destination) -> Moved | None:
    """Where a move within a node is taken back before it was used, what was there is the device again, file and all.

    None where that is not so; then the device moves like any other.
    """
    if old.replaces_id is None or old.handshake_at is not None or target == Destination(target.node):
        return None
    before = tx.one(Peer, models.peer.c.id == old.replaces_id, models.peer.c.revoked_at.is_(None))
    if before is None:
        return None
    where = place(tx, before)
    if where[1].name != target.node or not target.has(where[0]):
        return None
    revoke_rows(tx, app, [old], owner.name)
    if not reinstate(tx, app, owner, old):
        raise Conflict(
            f"the time of {owner.name}/{old.device} there is over", f"vpnctl peer show {owner.name}/{old.device}"
        )
    again = tx.one(Peer, models.peer.c.id == before.id) or before
    return Moved(replace(_opened(app, owner, again, where), elsewhere=(node.id,)), old, node)


def _move(tx: Tx, app: App, owner: User, old: Peer, node: Node, target: Destination) -> Moved:
    was = place(tx, old)[0]
    protocol = target.protocol or (was.protocol if target.endpoint is None else None)
    endpoint = target.endpoint or (_alike(tx, was, target) if protocol == was.protocol else None)
    in_use, elsewhere = supersede(tx, app, owner, old)
    own_key = old.identity if old.own_key else None
    wish = Wanted(owner.name, old.device, target.node, protocol, own_key, endpoint)
    new = issue(tx, app, [wish])[0]
    kept: dict[str, Any] = {"replaces_id": in_use.id, "suspended_at": old.suspended_at, "expires_at": old.expires_at}
    same = new.endpoint.protocol == was.protocol
    options = carried(plugin(was.protocol), new.endpoint.options, old.options) if same else None
    kept |= {"options": options}
    peer = replace(new.peer, **kept)
    tx.update(Peer, models.peer.c.id == peer.id, **kept)
    before, after = {"node": node.name}, {"node": target.node, "replaces": in_use.id}
    events.record(tx, stamp(app), "peer.migrate", ("peer", peer.id, f"{owner.name}/{old.device}"), before, after)
    dropped = tuple(sorted(set(old.options or {}) - set(options or {})))
    return Moved(replace(new, peer=peer, elsewhere=elsewhere), in_use, node, dropped)


def _alike(tx: Tx, was: Endpoint, target: Destination) -> str | None:
    """Return the endpoint of the target that speaks what a device's app is known to speak; None where it has none.

    Conflict where it serves the protocol, but of other generations only: that is for somebody to decide.
    """
    kind = plugin(was.protocol)
    goal = find.node(tx, target.node)
    served = staying([(each, goal) for each in find.endpoints(tx, goal)])
    there = [each for each, _ in served if each.protocol == was.protocol]
    same = [each for each in there if kind.preference(each.options) == kind.preference(was.options)]
    if there and not same:
        raise Conflict(
            f"{target.node} serves {kind.title} of another generation only, which an older app does not speak",
            f"where the apps do: --endpoint {there[0].name}",
        )
    return same[0].name if same else None


def everybody(tx: Tx, source: str) -> list[str]:
    """Return the names of all who have a live peer on a node, also one that is being replaced."""
    table = models.peer.c
    query = (
        sa.select(models.user.c.name)
        .join(models.peer, table.user_id == models.user.c.id)
        .join(models.endpoint, models.endpoint.c.id == table.endpoint_id)
        .where(models.endpoint.c.node_id == find.node(tx, source).id, table.revoked_at.is_(None))
        .distinct()
        .order_by(models.user.c.name)
    )
    return list(tx.execute(query).scalars())


def nodes(moved: Sequence[Moved]) -> list[str]:
    """Return the ids of the target nodes."""
    return sorted({each.new.node.id for each in moved})


def concerned(moved: Sequence[Moved]) -> list[str]:
    """Return the ids of the target nodes and of those where older peers end by it."""
    return sorted({node_id for each in moved for node_id in each.new.node_ids})
