"""Moving everybody off a node, or from full nodes to emptier ones: who goes where, checked before anybody moves.

The moving itself is `migration`'s: make before break, person by person. This decides, and does it in waves.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import sqlalchemy as sa

from vpnctl.actions.fleet.settle import Wish, settle
from vpnctl.actions.outcome import Settled, stamp
from vpnctl.actions.people import migration
from vpnctl.actions.people.issue import Room
from vpnctl.actions.people.migration import Destination, Left, Moved
from vpnctl.app import App
from vpnctl.errors import Conflict
from vpnctl.rules.access import serves
from vpnctl.rules.spread import Goal, Mover, fair, spread
from vpnctl.store import events, find, models
from vpnctl.store.engine import Tx
from vpnctl.store.rows import Node

_peer, _endpoint, _node = models.peer.c, models.endpoint.c, models.node.c
WAVE = 20
"""People at once, or a tenth of them all where that is more: what goes wrong is seen before it concerns many."""


@dataclass(frozen=True)
class Move:
    """A person's devices on one node, and where they go."""

    user: str
    source: str
    target: str
    devices: int
    begun: bool = False
    """An earlier run has moved them, and nobody was given their new file."""


@dataclass(frozen=True)
class MovingPlan:
    """Who moves where, and who stays, with the reason."""

    moves: tuple[Move, ...]
    left: tuple[Left, ...]

    def waves(self, size: int) -> Iterator[list[Move]]:
        """Return the moves in parts: `size` people each, the usual number for 0."""
        step = size or max(WAVE, -(-len(self.moves) // 10))
        for start in range(0, len(self.moves), step):
            yield list(self.moves[start : start + step])


@dataclass(frozen=True)
class _Resident:
    """A person on a node: the protocols of their devices there, and when one of these was last heard of."""

    name: str
    protocols: tuple[str, ...]
    heard_at: datetime | None


def drain(app: App, name: str, *, draining: bool = True) -> Node:
    """Let a node get no new devices, or let it again. Whoever is there stays."""
    with app.store.write() as tx:
        node = find.node(tx, name)
        if (node.draining_at is not None) != draining:
            tx.update(Node, _node.id == node.id, draining_at=app.clock() if draining else None)
            events.record(tx, stamp(app), "node.drain" if draining else "node.undrain", ("node", node.id, node.name))
        return find.node(tx, name)


def evacuation(app: App, source: str, targets: Sequence[str], *, untested: bool = False) -> MovingPlan:
    """Return how everybody on a node moves to the targets. Conflict where a target can take nobody."""
    with app.store.read() as tx:
        node = find.node(tx, source)
        goals = [find.node(tx, name) for name in dict.fromkeys(targets)]
        for goal in goals:
            _refuse(node, goal, untested=untested)
        load = _load(tx)
        room = [Goal(goal.name, load.get(goal.id, 0), goal.capacity) for goal in goals]
        moves, left = _placed(tx, app, node, _residents(tx, node), goals, room)
        begun = _begun(tx, node, {goal.name for goal in goals})
    return _checked(app, MovingPlan((*begun, *moves), tuple(left)), untested=untested)


def balance(app: App, names: Sequence[str], *, untested: bool = False) -> MovingPlan:
    """Return how people move from nodes with more than their share of devices to those with less.

    Of a full node, those go whose devices were not heard of for longest.
    """
    with app.store.read() as tx:
        nodes = [each for each in find.nodes(tx, names) if each.draining_at is None and each.path_error is None]
        load = _load(tx)
        now = [Goal(each.name, load.get(each.id, 0), each.capacity) for each in nodes]
        share = fair(now) if now else {}
        poor = [replace(goal, capacity=share[goal.name]) for goal in now if goal.load < share[goal.name]]
        goals = [each for each in nodes if any(goal.name == each.name for goal in poor)]
        moves: list[Move] = []
        for node in nodes:
            surplus = load.get(node.id, 0) - share[node.name]
            chosen = list(_idlest(_residents(tx, node), surplus))
            here, _ = _placed(tx, app, node, chosen, goals, poor)
            moves += here
            gained = {goal.name: sum(move.devices for move in here if move.target == goal.name) for goal in poor}
            poor = [replace(goal, load=goal.load + gained[goal.name]) for goal in poor]
    return _checked(app, MovingPlan(tuple(moves), ()), untested=untested)


def _idlest(people: Sequence[_Resident], surplus: int) -> Iterator[_Resident]:
    for each in sorted(people, key=lambda one: (one.heard_at is not None, one.heard_at, one.name)):
        if len(each.protocols) <= surplus:
            surplus -= len(each.protocols)
            yield each


def _refuse(source: Node, goal: Node, *, untested: bool) -> None:
    if goal.id == source.id:
        raise Conflict(f"{goal.name} is the node that people leave", "name other targets")
    if goal.draining_at is not None:
        raise Conflict(
            f"node {goal.name} is being drained", f"choose another one, or: vpnctl node drain {goal.name} --off"
        )
    if goal.path_error is not None and not untested:
        raise Conflict(
            f"packets do not pass {goal.name}: {goal.path_error}",
            f"vpnctl node check {goal.name} says more; to move people there all the same: --untested",
        )


def not_heard_of(app: App, source: str) -> int:
    """Return how many devices left a node whose new peer was not heard of yet: their old one is still there."""
    with app.store.read() as tx:
        here = _endpoint.node_id == find.node(tx, source).id
        query = sa.select(sa.func.count()).join(models.endpoint, _endpoint.id == _peer.endpoint_id)
        where = (here, _peer.revoked_at.is_(None), _peer.retiring_at.is_not(None))
        return tx.execute(query.select_from(models.peer).where(*where)).scalar() or 0


def _load(tx: Tx) -> dict[str, int]:
    """Return node id -> how many devices live there."""
    query = (
        sa.select(_endpoint.node_id, sa.func.count())
        .join(models.peer, _peer.endpoint_id == _endpoint.id)
        .where(_peer.revoked_at.is_(None), _peer.retiring_at.is_(None))
        .group_by(_endpoint.node_id)
    )
    return {node_id: count for node_id, count in tx.execute(query)}  # noqa: C416 - a row is no pair to mypy


def _residents(tx: Tx, node: Node) -> list[_Resident]:
    query = (
        sa.select(models.user.c.name, _endpoint.protocol, _peer.handshake_at)
        .join(models.peer, _peer.user_id == models.user.c.id)
        .join(models.endpoint, _endpoint.id == _peer.endpoint_id)
        .where(_endpoint.node_id == node.id, _peer.revoked_at.is_(None), _peer.retiring_at.is_(None))
        .order_by(models.user.c.name)
    )
    found: dict[str, list[sa.Row[tuple[str, str, datetime | None]]]] = defaultdict(list)
    for row in tx.execute(query):
        found[row.name].append(row)
    return [
        _Resident(
            name,
            tuple(row.protocol for row in rows),
            max((r.handshake_at for r in rows if r.handshake_at), default=None),
        )
        for name, rows in found.items()
    ]


def _placed(
    tx: Tx, app: App, source: Node, people: Sequence[_Resident], goals: Sequence[Node], room: Sequence[Goal]
) -> tuple[list[Move], list[Left]]:
    served: dict[str, set[str]] = {goal.name: {each.protocol for each in find.endpoints(tx, goal)} for goal in goals}
    terms = Room(tx, app)
    terms.prepare([each.name for each in people])
    movers, left = [], []
    for each in people:
        plan = terms.terms(terms.user(each.name))
        places = plan.locations if plan is not None else []
        inside = [goal.name for goal in goals if serves(places, goal.name, goal.region)]
        able = frozenset(name for name in inside if set(each.protocols) <= served[name])
        if able:
            movers.append(Mover(each.name, len(each.protocols), able))
        else:
            left.append(_nowhere(each, places, inside))
    found = spread(movers, room)
    moves = [Move(each.name, source.name, found[each.name], each.devices) for each in movers if each.name in found]
    full = [each for each in movers if each.name not in found]
    left += [
        Left(
            each.name,
            f"no room on {', '.join(sorted(each.allowed))}",
            "another --to, or: vpnctl node set NODE --capacity N",
        )
        for each in full
    ]
    return sorted(moves, key=lambda move: move.user), left


def _nowhere(who: _Resident, places: Sequence[str], inside: Sequence[str]) -> Left:
    if not inside:
        return Left(who.name, f"the plan is for {', '.join(places)} only", "a target there, or another plan")
    kinds = ", ".join(sorted(set(who.protocols)))
    return Left(who.name, f"no target serves {kinds}", f"vpnctl node provision NODE --protocol {who.protocols[0]}")


def _begun(tx: Tx, source: Node, targets: set[str]) -> list[Move]:
    """Return moves of an earlier run whose new file nobody was given."""
    old = models.peer.alias()
    was = models.endpoint.alias()
    query = (
        sa.select(models.user.c.name, _node.name.label("target"), sa.func.count().label("devices"))
        .select_from(models.peer)
        .join(old, old.c.id == _peer.replaces_id)
        .join(was, was.c.id == old.c.endpoint_id)
        .join(models.endpoint, _endpoint.id == _peer.endpoint_id)
        .join(models.node, _node.id == _endpoint.node_id)
        .join(models.user, models.user.c.id == _peer.user_id)
        .where(was.c.node_id == source.id, _node.name.in_(targets), _node.id != source.id)
        .where(_peer.revoked_at.is_(None), _peer.delivered_at.is_(None), old.c.revoked_at.is_(None))
        .group_by(models.user.c.name, _node.name)
        .order_by(models.user.c.name)
    )
    return [Move(row.name, source.name, row.target, row.devices, begun=True) for row in tx.execute(query)]


def _checked(app: App, plan: MovingPlan, *, untested: bool) -> MovingPlan:
    """Try every move in a transaction that is rolled back: who cannot be moved stays, and is named before all else."""
    left: list[Left] = []
    with app.store.rehearsal() as store:
        trial = replace(app, store=store)
        for target, source in sorted({(move.target, move.source) for move in plan.moves}):
            names = [move.user for move in plan.moves if (move.target, move.source) == (target, source)]
            left += migration.start_all(trial, names, Destination(target), source=source, untested=untested)[1]
    out = {each.user for each in left}
    return MovingPlan(tuple(move for move in plan.moves if move.user not in out), (*plan.left, *left))


@dataclass(frozen=True)
class WaveDone:
    """What became of a wave. Nothing is to be handed out where a target was not seen to serve."""

    moved: list[Moved]
    left: list[Left]
    settled: list[Settled]

    @property
    def failed(self) -> str:
        """Why the targets were not seen to serve all of them; empty where they were."""
        return next((each.error for each in self.settled if each.code), "")


def run_wave(app: App, wave: Sequence[Move], *, untested: bool = False) -> WaveDone:
    """Make the new peers of a wave on its targets, and see packets pass there. Run again, the same."""
    moved: list[Moved] = []
    left: list[Left] = []
    for target, source in sorted({(move.target, move.source) for move in wave}):
        names = [move.user for move in wave if (move.target, move.source) == (target, source)]
        some, stay = migration.start_all(app, names, Destination(target), source=source, untested=untested)
        moved += [each for each in some if each.old_node.name == source]
        left += stay
    return WaveDone(moved, left, settle(app, migration.nodes(moved), Wish(always=True, prove=not untested)))
