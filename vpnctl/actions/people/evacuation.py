"""Moving everybody off a node, or from full nodes to emptier ones: who goes where, checked before anybody moves.

The moving itself is `migration`'s: make before break, person by person. This decides, and does it in waves.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from vpnctl.actions.fleet.settle import Wish, settle
from vpnctl.actions.outcome import Settled, stamp
from vpnctl.actions.people import migration, residents
from vpnctl.actions.people.issue import Room
from vpnctl.actions.people.migration import Destination, Left, Moved
from vpnctl.actions.people.residents import Resident
from vpnctl.app import App
from vpnctl.errors import Conflict, InvalidInput, NotFound, StateTrouble
from vpnctl.rules.access import serves
from vpnctl.rules.spread import Goal, Mover, fair, spread
from vpnctl.store import events, find, models
from vpnctl.store.engine import Tx
from vpnctl.store.rows import Node

_node = models.node.c
WAVE = 20
"""People at once, or a tenth of them all where that is more: what goes wrong is seen before it concerns many."""


@dataclass(frozen=True)
class Move:
    """A person's devices on one node, and where they go."""

    user: str
    source: str
    target: str
    devices: tuple[str, ...]
    begun: bool = False
    """An earlier run has moved them, and nobody was given their new file."""
    endpoint: str | None = None
    """Of the target; else as `migration` picks it."""


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
        load = residents.load(tx)
        room = [Goal(goal.name, load.get(goal.id, 0), goal.capacity) for goal in goals]
        names = {goal.name for goal in goals}
        moves, left = _placed(
            tx, app, [*residents.residents(tx, node, app.clock()), *residents.stuck(tx, node, names)], goals, room
        )
        begun = [move for move in _begun(tx, node) if move.target in names]
        left += [over(each) for each in residents.over(tx, node, app.clock())]
    return checked(app, MovingPlan((*begun, *moves), tuple(left)), untested=untested)


def balance(app: App, names: Sequence[str], *, untested: bool = False) -> MovingPlan:
    """Return how people move from nodes with more than their share of devices to those with less.

    Of a full node, those go whose devices were not heard of for longest.
    """
    with app.store.read() as tx:
        nodes = [each for each in find.nodes(tx, names) if each.draining_at is None and each.path_error is None]
        load = residents.load(tx)
        now = [Goal(each.name, load.get(each.id, 0), each.capacity) for each in nodes]
        share = fair(now) if now else {}
        poor = [replace(goal, capacity=min(share[goal.name], goal.capacity or share[goal.name])) for goal in now]
        poor = [goal for goal in poor if goal.load < (goal.capacity or 0)]
        goals = [each for each in nodes if any(goal.name == each.name for goal in poor)]
        moves = [move for node in find.nodes(tx, names) for move in _begun(tx, node)]
        for node in nodes:
            surplus = load.get(node.id, 0) - share[node.name]
            people = residents.residents(tx, node, app.clock())
            able, _ = _able(tx, app, people, goals)  # who cannot go is no surplus
            chosen = list(_idlest([each for each in people if each.key in able], surplus))
            here, _ = _placed(tx, app, chosen, goals, poor)
            moves += here
            gained = {goal.name: sum(len(move.devices) for move in here if move.target == goal.name) for goal in poor}
            poor = [replace(goal, load=goal.load + gained[goal.name]) for goal in poor]
    return checked(app, MovingPlan(tuple(moves), ()), untested=untested)


def _idlest(people: Sequence[Resident], surplus: int) -> Iterator[Resident]:
    for each in sorted(people, key=lambda one: (one.heard_at is not None, one.heard_at, one.name)):
        if len(each.devices) <= surplus:
            surplus -= len(each.devices)
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


def _placed(
    tx: Tx, app: App, people: Sequence[Resident], goals: Sequence[Node], room: Sequence[Goal]
) -> tuple[list[Move], list[Left]]:
    able, left = _able(tx, app, people, goals)
    movers = {each.key: Mover(each.key, len(each.devices), able[each.key]) for each in people if each.key in able}
    found = spread(list(movers.values()), room)
    moves = [Move(each.name, each.source, found[each.key], each.devices) for each in people if each.key in found]
    full = [each for each in people if each.key in movers and each.key not in found]
    left += [_no_room(each, movers[each.key].allowed) for each in full]
    return sorted(moves, key=lambda move: move.user), left


def _able(
    tx: Tx, app: App, people: Sequence[Resident], goals: Sequence[Node]
) -> tuple[dict[str, frozenset[str]], list[Left]]:
    """Return to which targets each may go by plan and protocols, and those who may go to none, with the reason."""
    served: dict[str, set[str]] = {goal.name: {each.protocol for each in find.endpoints(tx, goal)} for goal in goals}
    terms = Room(tx, app)
    terms.prepare([each.name for each in people])
    found: dict[str, frozenset[str]] = {}
    left = []
    for each in people:
        plan = terms.terms(terms.user(each.name))
        places = plan.locations if plan is not None else []
        inside = [goal.name for goal in goals if serves(places, goal.name, goal.region)]
        able = frozenset(name for name in inside if set(each.protocols) <= served[name])
        if able:
            found[each.key] = able
        else:
            left.append(_nowhere(each, places, inside))
    return found, left


def _no_room(each: Resident, allowed: Collection[str]) -> Left:
    why = f"no room on {', '.join(sorted(allowed))}"
    return Left(each.name, why, "another --to, or: vpnctl node set NODE --capacity N")


def over(each: Resident) -> Left:
    """Return why somebody is not moved whose device's own time is over."""
    why = "the device's own time is over: it is not moved"
    return Left(each.name, why, f"vpnctl peer revoke {each.name}/{each.devices[0]}@{each.source}")


def _begun(tx: Tx, source: Node) -> list[Move]:
    return [
        Move(each.name, source.name, each.target, each.devices, begun=True)
        for each in residents.leaving(tx, *residents.from_node(source))
    ]


def _nowhere(who: Resident, places: Sequence[str], inside: Sequence[str]) -> Left:
    if not inside:
        return Left(who.name, f"the plan is for {', '.join(places)} only", "a target there, or another plan")
    kinds = ", ".join(sorted(set(who.protocols)))
    return Left(who.name, f"no target serves {kinds}", f"vpnctl node provision NODE --protocol {who.protocols[0]}")


def checked(app: App, plan: MovingPlan, *, untested: bool) -> MovingPlan:
    """Try every move in a transaction that is rolled back: who cannot be moved stays, and is named before all else."""
    with app.store.rehearsal() as store:
        left = _started(replace(app, store=store), plan.moves, untested=untested)[1]
    out = {each.user for each in left}
    return MovingPlan(tuple(move for move in plan.moves if move.user not in out), (*plan.left, *left))


def _started(app: App, moves: Sequence[Move], *, untested: bool) -> tuple[list[Moved], list[Left]]:
    """Issue successors for exactly these devices, in one transaction; whoever cannot be moved is named."""
    moved: list[Moved] = []
    left: list[Left] = []
    with app.store.joint() as store:
        here = replace(app, store=store)
        for move in moves:
            target = Destination(move.target, move.endpoint)
            try:
                for device in move.devices:
                    more = {"device": device, "source": move.source, "untested": untested}
                    moved += migration.start(here, move.user, target, **more)  # type: ignore[arg-type]
            except (Conflict, InvalidInput, NotFound, StateTrouble) as error:
                left.append(Left(move.user, error.what, error.hint))
    return moved, left


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
    moved, left = _started(app, wave, untested=untested)
    return WaveDone(moved, left, settle(app, migration.nodes(moved), Wish(always=True, prove=not untested)))
