"""After a restore: every node beside the database, what was changed there since, and what becomes of that."""

from __future__ import annotations

import re
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa

from vpnctl.actions.fleet import aliens, trust
from vpnctl.actions.fleet.desired import View, load
from vpnctl.actions.fleet.driving import driver, look, proven, shell
from vpnctl.actions.fleet.settle import Wish, settle
from vpnctl.actions.fleet.side_by_side import side_by_side
from vpnctl.actions.outcome import Settled, stamp
from vpnctl.actions.people.peers import revoke_rows
from vpnctl.actions.service import grace
from vpnctl.app import App
from vpnctl.errors import VpnctlError
from vpnctl.remote.driver import Query
from vpnctl.remote.shell import Shell
from vpnctl.rules.access import Reason
from vpnctl.rules.changes import SYSTEM
from vpnctl.rules.observed import Observed
from vpnctl.store import events, find, models, restored
from vpnctl.store.engine import Tx
from vpnctl.store.rows import HTTPS, Alien, Endpoint, Node, Peer, User
from vpnctl.store.vault import NIL

WANTS = "/etc/systemd/system/multi-user.target.wants"
_OURS = re.compile(
    r"vpnctl-firewall@([a-z][a-z0-9]{0,14})\.service|vpnctl-(?:xray|v2ray)@([a-z][a-z0-9]{0,14})\.service"
)


class Since(StrEnum):
    """What happened to a node since the backup."""

    NOTHING = "not changed"
    CHANGED = "changed"
    """It shows a token that the backup does not know, or none any more; or it keeps none, so nobody can tell."""
    SILENT = "not read"
    """It does not answer, or something is wrong with it: see `Review.why`."""


@dataclass(frozen=True)
class Stranger:
    """A peer that the database does not know: its endpoint, and what the node calls it."""

    endpoint_id: str
    identity: str


@dataclass(frozen=True)
class Review:
    """A node beside the database."""

    node: Node
    since: Since
    missing: dict[str, str]
    """Peer id -> USER/DEVICE of those that may connect by the database and are not there."""
    resting: tuple[str, ...] = ()
    """Devices that may not connect by it: whether they were revoked since, no node can tell."""
    unknown: tuple[Stranger, ...] = ()
    endpoints: tuple[str, ...] = ()
    """Names of endpoints of ours that are there and in no row."""
    ran_out: dict[str, str] = field(default_factory=dict)
    """Users whom time or traffic keeps out by the backup, and why; the node lets them in."""
    token: str = ""
    why: str = ""


@dataclass(frozen=True)
class Decision:
    """What becomes of devices that are missing on changed nodes, and of peers that only these know."""

    revoke_missing: bool
    """Else they are put there again."""
    prune_unknown: bool
    """Else they stay, as aliens."""
    keep_ran_out: bool
    """Else who ran out by the backup is cut; see `grace`."""
    lost: frozenset[str] = frozenset()
    """Names of nodes that will never answer: they are as in the backup."""


def review(app: App) -> list[Review]:
    """Read every node on which nobody has decided, and change nothing."""
    with app.store.read() as tx:
        nodes = tx.all(Node, models.node.c.id.in_(restored.undecided(tx)), order=models.node.c.name)
        views = [load(tx, node.id, app.clock()) for node in nodes if node.retired_at is None]

    def one(view: View) -> Review:
        try:
            return _reviewed(app, view)
        except VpnctlError as error:
            return Review(view.node, Since.SILENT, {}, why=error.what)

    return side_by_side(app, one, views)


def _reviewed(app: App, view: View) -> Review:
    node, token = view.node, models.token.c
    with shell(app, node) as opened:
        way = driver(app, view, opened)
        try:
            observed = look(app, view, way, Query(SYSTEM, proven(view)))
        finally:
            way.close()
        others = _endpoints(opened, view)
    over = grace.ran_out(view, observed)
    with app.store.read() as tx:
        same = sa.and_(token.node_id == node.id, token.value == observed.token)
        known = tx.execute(sa.select(token.seq).where(same)).first() is not None
        bare = observed.token == trust.NONE and node.token is None and node.kind != HTTPS
        if known or bare:
            return Review(node, Since.NOTHING, {}, ran_out=over, token=observed.token)
        made = restored.created_at(tx)
        strangers = {
            Stranger(each.id, peer.identity) for each in view.endpoints for peer in aliens.strangers(tx, each, observed)
        }
    # Whatever looked at the node since has noted them already.
    new = (each for each in view.aliens if made is not None and each.first_seen_at > made and each.pruned_at is None)
    strangers |= {Stranger(each.endpoint_id, each.identity) for each in new}
    return Review(
        node,
        Since.CHANGED,
        {peer.id: _name(view, peer) for peer in _missing(view, observed)},
        tuple(sorted(_name(view, each) for each in view.peers if _rests(view, each, over))),
        tuple(sorted(strangers, key=lambda each: each.identity)),
        others,
        over,
        observed.token,
    )


def _name(view: View, peer: Peer) -> str:
    return f"{view.owners[peer.user_id]}/{peer.device}"


def _missing(view: View, observed: Observed) -> list[Peer]:
    """Peers that may connect by the database and are not live there: also where their endpoint does not run at all."""
    names = {endpoint.id: endpoint.name for endpoint in view.endpoints}
    found = []
    for peer in view.peers:
        seen = observed.endpoints.get(names[peer.endpoint_id])
        if view.reasons[peer.id] is None and (seen is None or peer.identity not in seen.live):
            found.append(peer)
    return found


def _rests(view: View, peer: Peer, over: Collection[str]) -> bool:
    barred = view.reasons[peer.id] not in (None, Reason.REVOKED)
    return peer.revoked_at is None and barred and view.owners[peer.user_id] not in over


def _endpoints(opened: Shell | None, view: View) -> tuple[str, ...]:
    """Return the names of endpoints of ours on the server that are in no row: they were added since."""
    if opened is None:
        return ()
    listed = opened.run(("ls", "-1", WANTS), seconds=20).stdout.decode("utf-8", "replace").split()
    found = {one or other for unit in listed if (m := _OURS.fullmatch(unit)) for one, other in [m.groups()]}
    return tuple(sorted(found - {each.name for each in view.endpoints}))


def finish(app: App, reviews: Sequence[Review], decision: Decision) -> list[Settled]:
    """Take the nodes over as decided, and settle them. Those that did not answer stay undecided, but for lost ones.

    Each node's decision is written in one transaction: killed anywhere, what is left is decided by the next run.
    """
    now = [each for each in reviews if each.since is not Since.SILENT or each.node.name in decision.lost]
    for each in now:
        if each.since is Since.CHANGED:
            _take_over(app, each, decision)
        else:
            with app.store.write() as tx:
                _keep(tx, app, each, decision)
                restored.decide(tx, [each.node.id])
    with app.store.write() as tx:
        if now and restored.created_at(tx) is None:
            events.record(tx, stamp(app), "backup.finish", ("service", NIL, "service"))
    ids = [each.node.id for each in now if each.node.name not in decision.lost]
    cut = any(each.ran_out for each in now) and not decision.keep_ran_out
    return settle(app, ids, Wish(scope=SYSTEM, always=True, cut_all=cut))


def _take_over(app: App, each: Review, decision: Decision) -> None:
    with app.store.joint() as store:
        here = replace(app, store=store)
        with store.write() as tx:
            if decision.revoke_missing:
                _revoke(tx, here, each.missing)
            if decision.prune_unknown:
                _prune(tx, here, each.unknown)
            _keep(tx, here, each, decision)
            restored.decide(tx, [each.node.id])
            if each.token == trust.NONE:
                tx.update(Node, models.node.c.id == each.node.id, token=None)
            node = find.node(tx, each.node.name)
        if each.token != trust.NONE:
            trust.adopt_token(here, node, each.token)


def _keep(tx: Tx, app: App, each: Review, decision: Decision) -> None:
    if decision.keep_ran_out:
        grace.keep(tx, app, each.ran_out)


def _revoke(tx: Tx, app: App, peer_ids: Collection[str]) -> None:
    for peer_id in peer_ids:
        peer = tx.one(Peer, models.peer.c.id == peer_id, models.peer.c.revoked_at.is_(None))
        owner = tx.one(User, models.user.c.id == peer.user_id) if peer else None
        if peer is not None and owner is not None:
            revoke_rows(tx, app, [peer], owner.name)


def _prune(tx: Tx, app: App, strangers: Sequence[Stranger]) -> None:
    """Mark exactly these for removal by the next settle; whoever was tolerated before the backup stays."""
    table, now = models.alien.c, app.clock()
    for each in strangers:
        same = (table.endpoint_id == each.endpoint_id, table.identity == each.identity)
        if not tx.update(Alien, *same, pruned_at=now, shared_sealed=None):
            row = Alien(
                id=str(uuid.uuid4()), endpoint_id=each.endpoint_id, identity=each.identity, allowed_ips="",
                first_seen_at=now, pruned_at=now,
            )  # fmt: skip
            tx.insert(row)
        events.record(tx, stamp(app), "alien.prune", ("alien", each.endpoint_id, each.identity))
        tx.update(Endpoint, models.endpoint.c.id == each.endpoint_id, changed_at=now, proven_at=None)


def open_since(app: App) -> datetime | None:
    """Return when the backup was made on whose nodes nobody has decided yet; None when nothing is to be decided."""
    with app.store.read() as tx:
        return restored.created_at(tx)
