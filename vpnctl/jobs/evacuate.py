"""Move people off a blocked node by itself: only where the settings name targets, and only so many people a day."""

from __future__ import annotations

from dataclasses import dataclass

from vpnctl.actions.people import evacuation
from vpnctl.actions.talk import alerts, handover
from vpnctl.app import App
from vpnctl.errors import Conflict, NotFound
from vpnctl.jobs import Order, Report, Timer
from vpnctl.rules.health import NodeVerdict
from vpnctl.store import events, models, outbox
from vpnctl.store.rows import Health, Node

SUMMARY = "move people off a blocked node, where evacuate_to permits it"
TIMER = Timer(on_calendar="*:4/5:00", cron="4-59/5 * * * *", every=300, jitter=20, limit=280)


@dataclass(frozen=True)
class _Moved:
    people: int
    waiting: int
    """Who would have moved, had the day's limit or the target let them."""
    why: str = ""


def run(app: App, order: Order) -> Report:
    """Evacuate each node whose verdict is `blocked`, within what the settings permit, and tell of it."""
    targets = app.settings.evacuate_to
    if not targets:
        return Report("evacuate", 0, "not permitted: evacuate_to names no node")
    allowed = app.settings.evacuate_people - _today(app)
    told = {}
    for node in _blocked(app):
        if node.name in targets:
            continue
        moved = _leave(app, node, [each for each in targets if each != node.name], allowed, dry_run=order.dry_run)
        allowed -= moved.people
        told[node.name] = f"{moved.people} moved, {moved.waiting} not" + (f": {moved.why}" if moved.why else "")
        if not order.dry_run and (moved.people or moved.why):
            _tell(app, node, moved)
    what = "; ".join(f"{name}: {said}" for name, said in told.items()) or "no node is blocked"
    return Report("evacuate", 0, what, {"nodes": told})


def _blocked(app: App) -> list[Node]:
    table = models.node_health.c
    with app.store.read() as tx:
        ids = [each.node_id for each in tx.all(Health, table.verdict == NodeVerdict.BLOCKED.value)]
        return tx.all(Node, models.node.c.id.in_(ids), models.node.c.retired_at.is_(None), order=models.node.c.name)


def _today(app: App) -> int:
    """Return how many devices this job has moved since midnight in the operator's zone."""
    midnight = app.clock().replace(hour=0, minute=0, second=0, microsecond=0)
    with app.store.read() as tx:
        return events.count(tx, "peer.migrate", app.actor, midnight)


def _leave(app: App, node: Node, targets: list[str], allowed: int, *, dry_run: bool) -> _Moved:
    try:
        plan = evacuation.evacuation(app, node.name, targets)
    except (Conflict, NotFound) as error:
        return _Moved(0, 0, error.what)
    left, people = len(plan.left), 0
    chosen = list(_within(plan.moves, allowed))
    if dry_run or not chosen:
        return _Moved(0, len(plan.moves) + left, "" if dry_run or not plan.moves else "the day's limit is reached")
    evacuation.drain(app, node.name)
    for wave in evacuation.MovingPlan(tuple(chosen), ()).waves(0):
        done = evacuation.run_wave(app, wave)
        if done.failed:
            return _Moved(people, len(plan.moves) - people + left, done.failed)
        handover.send_anew(app, [each.new.peer.id for each in done.moved if not each.new.forgotten])
        people += len(wave)
    return _Moved(people, len(plan.moves) - people + left)


def _within(moves: tuple[evacuation.Move, ...], allowed: int) -> list[evacuation.Move]:
    chosen: list[evacuation.Move] = []
    for move in moves:
        allowed -= move.devices
        if allowed < 0:
            break
        chosen.append(move)
    return chosen


def _tell(app: App, node: Node, moved: _Moved) -> None:
    now = app.clock()
    details = {"node": node.name, "people": moved.people, "waiting": moved.waiting, "what": moved.why or "-"}
    with app.store.write() as tx:
        outbox.enqueue(tx, alerts.technical(app, "evacuated", node.id, f"{now:%Y%m%d%H}:{moved.people}", details), now)
