"""Move people off a blocked node by itself: only where the settings name targets, and only so many people a day."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from vpnctl.actions.people import evacuation
from vpnctl.actions.talk import alerts, handover
from vpnctl.app import App
from vpnctl.errors import Conflict, NotFound
from vpnctl.jobs import Mode, Report, Timer
from vpnctl.rules.health import NodeVerdict
from vpnctl.store import events, models, outbox
from vpnctl.store.rows import Health, Node

SUMMARY = "move people off a blocked node, where evacuate_to permits it"
TIMER = Timer(on_calendar="*:4/5:00", cron="4-59/5 * * * *", every=300, jitter=20, limit=280)


@dataclass(frozen=True)
class _Moved:
    devices: int
    waiting: int
    """Devices that would have moved, had the day's limit or the target let them."""
    why: str = ""


def run(app: App, mode: Mode) -> Report:
    """Evacuate each node whose verdict is `blocked`, within what the settings permit, and tell of it."""
    if not app.settings.evacuate_to:
        return Report("evacuate", 0, "not permitted: evacuate_to names no node")
    allowed = app.settings.evacuate_devices - _today(app)
    told = {}
    blocked = _blocked(app)
    targets = _targets(app, {node.id for node in blocked})
    for node in blocked:
        if targets:
            moved = _leave(app, node, targets, allowed, dry_run=mode.dry_run)
        else:
            moved = _Moved(0, 0, "no node of evacuate_to is up")
        allowed -= moved.devices
        told[node.name] = f"{moved.devices} moved, {moved.waiting} not" + (f": {moved.why}" if moved.why else "")
        if not mode.dry_run and (moved.devices or moved.why):
            _tell(app, node, moved)
    what = "; ".join(f"{name}: {said}" for name, said in told.items()) or "no node is blocked"
    return Report("evacuate", 0, what, {"nodes": told})


def _blocked(app: App) -> list[Node]:
    table = models.node_health.c
    with app.store.read() as tx:
        ids = [each.node_id for each in tx.all(Health, table.verdict == NodeVerdict.BLOCKED.value)]
        return tx.all(Node, models.node.c.id.in_(ids), models.node.c.retired_at.is_(None), order=models.node.c.name)


def _targets(app: App, blocked: Collection[str]) -> list[str]:
    """Return the permitted targets that can take people: served by health's and the packets' word, and not drained."""
    table = models.node.c
    with app.store.read() as tx:
        verdicts = {each.node_id: each.verdict for each in tx.all(Health)}
        rows = tx.all(Node, table.name.in_(app.settings.evacuate_to), table.retired_at.is_(None), order=table.name)
    bad = (NodeVerdict.DOWN.value, NodeVerdict.BLOCKED.value)
    return [
        row.name
        for row in rows
        if row.id not in blocked
        and row.draining_at is None
        and row.path_error is None
        and verdicts.get(row.id) not in bad
    ]


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
    begun = [move for move in plan.moves if move.begun]
    fresh = [move for move in plan.moves if not move.begun]
    total, done = sum(len(move.devices) for move in fresh) + len(plan.left), 0
    chosen = _within(fresh, allowed)
    if dry_run or not (chosen or begun):
        return _Moved(0, total, "" if dry_run or not fresh else "the day's limit is reached")
    evacuation.drain(app, node.name)
    for wave in evacuation.MovingPlan((*begun, *chosen), ()).waves(0):
        result = evacuation.run_wave(app, wave)
        if result.failed:
            return _Moved(done, total - done, result.failed)
        handover.send_anew(app, [each.new.peer.id for each in result.moved if not each.new.forgotten])
        new = {(move.user, device) for move in wave if not move.begun for device in move.devices}
        done += sum(1 for each in result.moved if (each.new.user.name, each.new.peer.device) in new)
    return _Moved(done, total - done, "" if done == total or chosen == fresh else "the day's limit is reached")


def _within(moves: list[evacuation.Move], allowed: int) -> list[evacuation.Move]:
    chosen: list[evacuation.Move] = []
    for move in moves:
        if len(move.devices) <= allowed:
            allowed -= len(move.devices)
            chosen.append(move)
    return chosen


def _tell(app: App, node: Node, moved: _Moved) -> None:
    now = app.clock()
    details = {"node": node.name, "devices": moved.devices, "waiting": moved.waiting, "what": moved.why or "-"}
    with app.store.write() as tx:
        outbox.enqueue(
            tx,
            alerts.technical(app, "evacuated", node.id, f"{now:%Y%m%d}:{moved.devices}:{moved.why}"[:40], details),
            now,
        )
