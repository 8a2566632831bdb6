"""Looking after nodes: one look at each, what it means, and one merged message about what changed."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from vpnctl.actions.fleet import paths, probes
from vpnctl.actions.fleet.desired import View, load
from vpnctl.actions.fleet.driving import drive, proven
from vpnctl.actions.fleet.driving import look as look_at
from vpnctl.actions.fleet.measure import slow
from vpnctl.actions.fleet.side_by_side import load_everything, side_by_side
from vpnctl.actions.outcome import stamp
from vpnctl.actions.talk import alerts
from vpnctl.app import App
from vpnctl.errors import VpnctlError, bug
from vpnctl.protocols import plugin
from vpnctl.remote.driver import Query
from vpnctl.remote.probe import Handshake, Verdict
from vpnctl.rules import health, vitals
from vpnctl.rules.access import ONLINE
from vpnctl.rules.changes import PEOPLE
from vpnctl.rules.health import HealthState, NodeVerdict, Sighting
from vpnctl.rules.observed import Observed
from vpnctl.store import events, models, outbox
from vpnctl.store.engine import Tx
from vpnctl.store.rows import Health, Node

PER_HOUR = 20
TRIED_LASTS = timedelta(minutes=15)
"""So long packets that passed count as passing."""
_LASTS = 3
_OWN = "health:own_network"


@dataclass(frozen=True)
class Found:
    """One look at one node. `signs` maps endpoint to how the handshake ended."""

    node: Node
    look: Sighting
    error: str = ""
    signs: dict[str, Handshake | None] = field(default_factory=dict)
    vitals: vitals.Vitals | None = None
    path: dict[str, Any] = field(default_factory=dict)
    """What to remember of packets that were tried; empty where none were."""


@dataclass(frozen=True)
class Checked:
    """How a round came out."""

    verdicts: dict[str, str]
    said: tuple[str, ...]
    own_network: bool


def check(app: App, nodes: Sequence[Node] | None = None) -> Checked:
    """Look at every node, or at these, remember, and enqueue at most one message.

    Bounded by the slowest node, not the sum.
    """
    found = look(app, nodes)
    own = health.own_network([each.look for each in found])
    with app.store.write() as tx:
        before = {row.node_id: row for row in tx.all(Health)}
        quiet = _messages_last_hour(tx, app) >= PER_HOUR
        lines = _own_network(tx, app, own, found)
        verdicts = {}
        for each in found:
            verdict, line = _remember(tx, app, each, before.get(each.node.id), own=own, quiet=quiet)
            verdicts[each.node.name] = verdict
            lines += [line] if line else []
            lines += _note_path(tx, each)
        if lines:
            round_ = str(uuid.uuid4())
            outbox.enqueue(tx, alerts.everybody(app, "health", round_, "round", {"lines": lines}), app.clock())
        for each in found:
            outbox.enqueue(tx, _warnings(tx, app, each, before.get(each.node.id)), app.clock())
    return Checked(verdicts, tuple(lines), own)


def _note_path(tx: Tx, found: Found) -> list[str]:
    """Remember whether packets pass; return what is news about it."""
    if not found.path:
        return []
    tx.update(Node, models.node.c.id == found.node.id, **found.path)
    was, now, name = found.node.path_error, found.path["path_error"], found.node.name
    if any((each or "").endswith(paths.NOT_UP) for each in (was, now)):
        return []  # that it is down, and up again, is said as such
    if now is not None and was is None:
        return [f"packets do not pass {name}: {now}. More: vpnctl node check {name}"]
    return [f"packets pass {name} again"] if now is None and was is not None else []


def look(app: App, nodes: Sequence[Node] | None = None) -> list[Found]:
    """Look at nodes side by side, without changing them."""
    if nodes is None:
        with app.store.read() as tx:
            nodes = tx.all(Node, models.node.c.retired_at.is_(None), order=models.node.c.name)
    return side_by_side(app, lambda node: _look(app, node), nodes)


def _look(app: App, node: Node) -> Found:
    """Shake hands and log in at the same time: a dead node costs one deadline, not two."""
    with app.store.read() as tx:
        view = load(tx, node.id, app.clock(), people=False)
    load_everything()
    with ThreadPoolExecutor(1) as pool:
        shaking = pool.submit(probes.shake_all, app, node)
        try:
            observed: Observed | None = _observe(app, view)
            error = ""
        except VpnctlError as trouble:
            observed, error = None, trouble.what
        except Exception as trouble:  # noqa: BLE001 - one node's answer must not keep the others from being judged
            observed, error = None, bug(trouble)
        signs = shaking.result()
    answered = [sign.verdict in (Verdict.OK, Verdict.PSK_MISMATCH) for sign in signs.values() if sign is not None]
    handshake = all(answered) if answered else None
    if observed is None:
        return Found(node, Sighting(False, False, handshake, 0), error, signs)
    serving = all(each.name in observed.up for each in view.endpoints if each.removed_at is None)
    signs_of_life = vitals.vitals(observed.facts.get("health", ""), observed.clock, observed.read_at.timestamp())
    path = paths.columns(view, observed, app.clock())
    return Found(node, Sighting(True, serving, handshake, _online(view, observed)), "", signs, signs_of_life, path)


def _observe(app: App, view: View) -> Observed:
    """Look; where packets were tried last a while ago, they are tried in the same command."""
    at, served = view.node.path_at, any(endpoint.digest for endpoint in view.endpoints)
    due = served and (at is None or app.clock() - at >= TRIED_LASTS)
    what = Query(PEOPLE, proven(view), paths.tries(app, view) if due else {}, health=True)
    with drive(app, view) as way:
        return look_at(app, view, way, what)


def _online(view: View, observed: Observed) -> int:
    """Count live sessions by the node's own clock. Our probe's do not count: it never sends a packet.

    Only sessions that last for minutes are counted: who has a connection open in a moment says nothing of a block.
    """
    since = observed.clock - ONLINE.total_seconds()
    ours = {
        endpoint.name: endpoint.probe_identity
        for endpoint in view.endpoints
        if plugin(endpoint.protocol).supports.handshakes
    }
    return sum(
        (peer.handshake or 0) >= since
        for name, seen in observed.endpoints.items()
        if name in ours
        for identity, peer in seen.peers.items()
        if identity != ours[name]
    )


def _remember(
    tx: Tx, app: App, found: Found, before: Health | None, *, own: bool, quiet: bool
) -> tuple[str, str | None]:
    """Store the new state of a node; return (verdict, what is to be said of it)."""
    now = app.clock()
    state = _state(before) if before else health.begin(now)
    dead = not found.look.ssh and not found.look.handshake
    if own and dead:
        return str(state.verdict), None  # the fault is ours: it says nothing about the node
    verdict = health.judge(found.look, before.online if before else 0)
    after = health.step(state, verdict, now)
    what, told = health.alert(after, now)
    if what is not None and quiet:
        what, told = None, after
    online = found.look.online if verdict is NodeVerdict.UP or before is None else before.online
    _save(tx, app, found, before, told, online)
    if after.verdict is not state.verdict:
        was, becomes = {"verdict": str(state.verdict)}, {"verdict": str(after.verdict), "why": _why(found, verdict)}
        events.record(tx, stamp(app), "node.health", ("node", found.node.id, found.node.name), was, becomes)
    return str(after.verdict), None if what is None else _line(found, what, _why(found, verdict))


def _state(row: Health) -> HealthState:
    return HealthState(
        NodeVerdict(row.verdict),
        row.since,
        row.streak,
        row.history,
        row.flapping,
        row.alerted,
        row.alerted_at,
        row.alerts,
    )


def _save(tx: Tx, app: App, found: Found, before: Health | None, state: HealthState, online: int) -> None:
    row = Health(
        node_id=found.node.id,
        verdict=str(state.verdict),
        since=state.since,
        streak=state.streak,
        history=state.history,
        flapping=state.flapping,
        checked_at=app.clock(),
        online=online,
        sample=_sample(found, before),
        alerted=state.alerted,
        alerted_at=state.alerted_at,
        alerts=state.alerts,
    )
    if before is None:
        tx.insert(row)
    else:
        tx.update(Health, models.node_health.c.node_id == row.node_id, **vars(row))


def _sample(found: Found, before: Health | None) -> dict[str, Any]:
    warned = (before.sample.get("warned") or {}) if before else {}
    body: dict[str, Any] = dataclasses.asdict(found.vitals) if found.vitals else {}
    return body | {
        "ssh": found.look.ssh,
        "error": found.error,
        "handshake": {key: str(sign.verdict) if sign else "no probe peer" for key, sign in found.signs.items()},
        "milliseconds": {key: sign.milliseconds for key, sign in found.signs.items() if sign},
        "warned": {name: warned.get(name, 0) + 1 for name in vitals.warnings(found.vitals)},
    }


def _why(found: Found, verdict: NodeVerdict) -> str:
    if not found.look.ssh:
        return found.error + ("; its tunnel answers" if found.look.handshake else "")
    if not found.look.serving:
        return "an endpoint is not up"
    if verdict is NodeVerdict.BLOCKED:
        silent = [
            f"{name}: {sign.verdict}" for name, sign in found.signs.items() if sign and sign.verdict is not Verdict.OK
        ]
        return "SSH answers, UDP does not" + f" ({', '.join(silent)})" if silent else "people's sessions ended together"
    return "SSH, endpoints and handshake answer"


def _line(found: Found, what: str, why: str) -> str:
    name = found.node.name
    if what == "flapping":
        return f"{name} keeps changing between up and down; nothing more is said until that ends"
    if what == "blocked":
        return f"{name} is blocked: {why}. Move people away: vpnctl node evacuate {name} --to NODE"
    return f"{name} is {what}: {why}"


def _own_network(tx: Tx, app: App, own: bool, found: Sequence[Found]) -> list[str]:
    """Say once that the fault is on our side, and once that it is over."""
    was = bool(tx.meta(_OWN))
    if own == was:
        return []
    tx.set_meta(_OWN, app.clock().isoformat() if own else "")
    dead = sum(1 for each in found if not each.look.ssh and not each.look.handshake)
    if own:
        return [
            f"{dead} of {len(found)} nodes do not answer at once: it is rather the network of the operator's machine"
        ]
    return ["the network of the operator's machine is back"]


def _messages_last_hour(tx: Tx, app: App) -> int:
    table = models.notice.c
    recent = (table.kind == "health", table.created_at > app.clock() - timedelta(hours=1))
    return tx.execute(sa.select(sa.func.count(sa.distinct(table.subject_id))).where(*recent)).scalar() or 0


def _warnings(tx: Tx, app: App, found: Found, before: Health | None) -> list[outbox.Message]:
    """Resources that run short: each once a day, and only when it lasts where it comes and goes."""
    today = f"{app.clock():%Y%m%d}"
    warned = _sample(found, before)["warned"]
    words = vitals.warnings(found.vitals) | slow(tx, app, found.node)
    ready = [name for name in words if name not in vitals.LASTING or warned.get(name, 0) >= _LASTS]
    return [
        message
        for name in ready
        for message in alerts.technical(
            app, "resource", found.node.id, f"{name}:{today}", {"node": found.node.name, "what": words[name]}
        )
    ]
