"""Make nodes agree with the database, and prove it. Nothing else ever changes a node.

Per node: connect, observe, read the database, desired, changes; nothing to change: done, nothing was written.
Else commit a fresh token, apply, and record what was read afterwards. Because the database is read after the
observation, and because the node refuses a plan made for another token, whoever applies last has read the
newest database.
"""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from vpnctl.actions.fleet import aliens, clock, lease, node_lock, paths, proof, trust
from vpnctl.actions.fleet.comparison import (
    Comparison,
    EndpointIsDown,
    alien_identities,
    check_up,
    compare,
    split,
    where_up,
)
from vpnctl.actions.fleet.desired import View, load
from vpnctl.actions.fleet.driving import drive, look, proven
from vpnctl.actions.fleet.side_by_side import side_by_side
from vpnctl.actions.outcome import Reach, Settled
from vpnctl.app import App
from vpnctl.errors import PENDING, Busy, Distrust, NodeFailed, StateTrouble, Stopped, VpnctlError, bug
from vpnctl.remote.driver import Applied, ChangeOrder, Driver, FailedStep, Query
from vpnctl.rules.changes import PEOPLE, InboundOff
from vpnctl.rules.difference import difference
from vpnctl.rules.notes import PacketsLost
from vpnctl.rules.observed import Observed
from vpnctl.store import models
from vpnctl.store.queue import pending_nodes
from vpnctl.store.rows import Node

TRIES = 6
_TELLING = (Stopped.code, Distrust.code, StateTrouble.code)
"""Codes that say more than that something is pending: nobody but the operator can mend that."""


@dataclass(frozen=True)
class Wish:
    """How to settle."""

    scope: str = PEOPLE
    always: bool = False
    """Go there even if nothing is pending."""
    cut_all: bool = False
    """Lift the brake."""
    prove: bool = False
    """Send a packet through each endpoint, and see it leave the node and its answer come back."""
    ask_nodes: bool = False
    """Nobody knows yet whether our clock is right: where a node's differs, time cuts nobody there."""
    distrust: str = ""
    """Why the clock cannot be trusted; then time cuts nobody. `settle` finds out by itself."""


def settle(app: App, node_ids: Iterable[str], wish: Wish | None = None) -> list[Settled]:
    """Settle nodes side by side; a dead one delays nobody. Never raises for a node: its outcome says what happened."""
    ids = sorted(set(node_ids))
    if not ids:
        return []
    how = wish or Wish()
    if not how.cut_all:
        ask = clock.unnoted(app)
        how = replace(how, ask_nodes=ask, distrust=clock.backward(app) if ask else clock.jump(app))
    return side_by_side(app, lambda node_id: _settle(app, node_id, how), ids)


def settle_and_follow_up(app: App, node_ids: Iterable[str], wish: Wish) -> list[Settled]:
    """Settle nodes; then, once more, those where what was read on another one has just ended a peer.

    A first handshake on a new node ends the peer on the old one. A node stands in the list once, as it came out last.
    """
    settled = settle(app, node_ids, wish)
    reachable = {each.node_id for each in settled if each.code == 0}
    with app.store.read() as tx:
        again = [node_id for node_id in pending_nodes(tx, app.clock()) if node_id in reachable]
    later = {each.node_id: each for each in settle(app, again, Wish(cut_all=wish.cut_all))}
    return [_joined(each, later.get(each.node_id)) for each in settled]


def _joined(first: Settled, later: Settled | None) -> Settled:
    return first if later is None else replace(later, changes=first.changes + later.changes, notes=first.notes)


def _settle(app: App, node_id: str, wish: Wish) -> Settled:
    name = node_id
    try:
        with app.store.read() as tx:
            node = tx.one(Node, models.node.c.id == node_id)
            assert node is not None  # noqa: S101
            name = node.name
        with node_lock.hold(app, node):
            if not wish.always and not _pending(app, node_id):
                return Settled(node_id, name, 0)
            return _converge(app, node_id, wish)
    except VpnctlError as error:
        proof.failed(app, node_id, error)
        code = error.code if error.code in _TELLING else PENDING
        far = Reach.ELSEWHERE if isinstance(error, EndpointIsDown) else Reach.NOT
        return Settled(node_id, name, code, error=error.what, hint=error.hint, done=far)
    except Exception as error:  # noqa: BLE001 - one node's answer must not keep the others from being settled
        return Settled(node_id, name, 1, error=f"{name}: {bug(error)}", hint="please report this line")


def _pending(app: App, node_id: str) -> bool:
    with app.store.read() as tx:
        return bool(pending_nodes(tx, app.clock(), node_id))


def _converge(app: App, node_id: str, wish: Wish) -> Settled:
    with app.store.read() as tx:
        view = load(tx, node_id, app.clock(), people=False)
    with drive(app, view) as way, lease.hold(app, view.node, way) as until:
        for attempt in range(TRIES):
            settled = _attempt(app, node_id, way, wish, until)
            if settled is not None:
                return settled
            time.sleep(0.05 * attempt)
        raise Busy(f"{view.node.name} kept changing while we looked", "another controller is at work; try again")


def _attempt(app: App, node_id: str, way: Driver, wish: Wish, until: datetime | None) -> Settled | None:
    """Observe and, where needed, apply once. None: the node moved meanwhile, look again.

    `until`: see `ChangeOrder.until`.
    """
    with app.store.read() as tx:
        looked = load(tx, node_id, app.clock(), people=False)
    what = Query(wish.scope, proven(looked), paths.tries(app, looked) if wish.prove else {})
    observed = _observe(app, looked, way, what)
    with app.store.read() as tx:
        view = load(tx, node_id, app.clock())
        rolled_back = trust.check_token(tx, view.node, observed)
    if view.endpoints != looked.endpoints:
        return None
    if rolled_back:
        trust.record_rollback(app, view.node, observed)
    if wish.ask_nodes and not wish.distrust:
        wish = replace(wish, distrust=clock.against(app, view.node.name, observed.clock))
    found = compare(app, view, observed, wish)
    if wish.scope == PEOPLE:
        found = where_up(view.node.name, found)
    round_ = _Round(app, way, view, what, observed, found, until)
    stale = way.fences and (view.node.fence_at is not None or rolled_back)  # an old token, or none, is no fence
    if found.changes or stale:
        after = round_.apply()
        if after is None:
            return None
        observed = after
    else:
        proof.record(app, view, proof.Read(found.want, observed, wish.scope, fences=way.fences), agreed=True)
    if found.held:
        raise _held(view.node.name, found)
    return _outcome(view, found, observed, wish.scope)


def _held(name: str, found: Comparison) -> Stopped:
    what = f"{name}: {found.held} peers are due to be cut by time alone"
    if found.undecided:
        return Stopped(f"{what}; this database is a backup, and they may have renewed since", "vpnctl backup finish")
    why = found.distrust or "that many at once needs a word from you"
    hint = f"look at `vpnctl peer list --node {name}`, then: vpnctl node sync {name} --cut-all"
    return Stopped(f"{what}; {why}", hint)


def _observe(app: App, looked: View, way: Driver, what: Query) -> Observed:
    """Query; peers in a file of ours that this database does not know are looked at once more: their keys are kept."""
    observed = look(app, looked, way, what)
    unknown = aliens.unsealed(app, looked.node.id, observed)
    if unknown:
        observed = look(app, looked, way, replace(what, secrets=unknown))
    aliens.record(app, looked.node.id, looked.node.name, observed)
    return observed


def _outcome(view: View, found: Comparison, observed: Observed, scope: str) -> Settled:
    """Return how a node came out that was last read to be `observed`."""
    node_id, name = view.node.id, view.node.name
    if found.want.sealed:
        names = ", ".join(found.want.sealed[:5])
        error = f"{name}: the secrets of {names} do not open with this key file; they were left out, all else was done"
        hint = f"bring the right key file back, or renew them: vpnctl peer regen {found.want.sealed[0]}"
        return Settled(node_id, name, StateTrouble.code, found.changes, error, hint)
    lost = paths.fault(observed)
    notes = found.notes if not found.changes else split(difference(found.want, observed, (), name), scope)[1]
    if lost:
        ordered = sorted(notes, key=lambda each: isinstance(each, PacketsLost))  # a cause says more than what it causes
        hint = next((each.advice for each in ordered), f"vpnctl node check {name}")
        return Settled(node_id, name, PENDING, found.changes, f"{name}: {lost}", hint, notes, Reach.ALL)
    return Settled(node_id, name, 0, found.changes, notes=notes)


def _mend(step: FailedStep) -> str:
    """Return what to do about the step that failed."""
    if step.cause == "source":
        setting = f"{step.subject}_{'archive' if step.kind == 'fetch' else 'repository'}"
        return f"let the node reach that address, or set {setting} (docs/configuration.md)"
    if step.cause == "package":
        return "give the server a source of that package (docs/protocols.md)"
    return "mend that on the node"


@dataclass(frozen=True)
class _Round:
    """One node as it was read, what is wanted of it, and the difference: what applying needs."""

    app: App
    way: Driver
    view: View
    what: Query
    observed: Observed
    found: Comparison
    until: datetime | None

    def apply(self) -> Observed | None:
        """Apply, read again, record; return what was read. None: the node is not as observed any more."""
        app, view, want, name, scope = self.app, self.view, self.found.want, self.view.node.name, self.what.scope
        fresh = proof.prepare(app, view, self.observed)
        applied = self._send(ChangeOrder(want, self.observed, self.found.changes, fresh, scope, self.until))
        if applied.refused == "moved":
            return None
        if applied.refused:
            raise Busy(f"{name}: another vpnctl holds the node", "try again in a minute")
        left = split(difference(want, applied.observed, alien_identities(view), name), scope)[0]
        read = proof.Read(want, applied.observed, scope, fresh, self.way.fences)
        proof.record(app, view, read, agreed=not left and not applied.failed)
        if applied.failed:
            raise NodeFailed(f"{name}: {applied.failed}", f"{_mend(applied.step)}, then: vpnctl node sync {name}")
        check_up(name, self.found, left if scope == PEOPLE else [each for each in left if isinstance(each, InboundOff)])
        if left:
            raise NodeFailed(f"{name} still differs after the change: {left[0]}", f"vpnctl node check {name}")
        return applied.observed

    def _send(self, order: ChangeOrder) -> Applied:
        with contextlib.ExitStack() as shown:

            @functools.cache
            def waiting() -> None:
                said = f"{self.view.node.name}: apt is in use there, waiting"
                shown.enter_context(self.app.progress(said, 1))

            return self.way.apply(order, replace(self.what, proven=proven(self.view)), waiting)
