"""What would change on nodes: for --dry-run of any verb, and for the drift report, which changes nothing either."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from vpnctl.actions.fleet import paths, probes
from vpnctl.actions.fleet.comparison import compare
from vpnctl.actions.fleet.desired import View, load
from vpnctl.actions.fleet.driving import drive, look, proven
from vpnctl.actions.fleet.proof import failed
from vpnctl.actions.fleet.settle import Wish
from vpnctl.actions.fleet.side_by_side import side_by_side
from vpnctl.actions.fleet.trust import check_token
from vpnctl.actions.outcome import Settled
from vpnctl.app import App
from vpnctl.errors import Distrust, VpnctlError
from vpnctl.remote.driver import Query
from vpnctl.remote.probe import Handshake, Verdict
from vpnctl.rules.changes import Change, OfPeer
from vpnctl.rules.notes import HandshakeSilent
from vpnctl.store import models
from vpnctl.store.rows import Node


def rehearse(app: App, verb: Callable[[App], Iterable[str]], wish: Wish | None = None) -> list[Settled]:
    """Run `verb` (it returns node ids) in a transaction, render to memory, roll back, then observe without writing."""
    with app.store.rehearsal() as store:
        trial = replace(app, store=store)
        ids = sorted(set(verb(trial)))
        with store.read() as tx:
            views = [load(tx, node_id, app.clock()) for node_id in ids]
    return preview(app, views, wish)


def drift(app: App, node_ids: Iterable[str], wish: Wish) -> list[Settled]:
    """Compare nodes with the database as it is. Nothing is changed; what a test by packets found is remembered."""
    with app.store.read() as tx:
        views = [load(tx, node_id, app.clock()) for node_id in sorted(set(node_ids))]
    return preview(app, views, wish)


def check(app: App, node_ids: Iterable[str], wish: Wish) -> list[Settled]:
    """Return the drift, and with it every endpoint that does not answer a handshake from here."""
    found = drift(app, node_ids, replace(wish, prove=True))
    with app.store.read() as tx:
        nodes = [tx.all(Node, models.node.c.id == each.node_id)[0] for each in found]
    signs = side_by_side(app, lambda node: probes.shake_all(app, node), nodes)
    return [replace(each, notes=(*each.notes, *_silent(sign))) for each, sign in zip(found, signs, strict=True)]


_ADVICE = "look at the provider's firewall, and at the node's"


def _silent(signs: dict[str, Handshake | None]) -> list[Change]:
    return [
        HandshakeSilent(interface, str(sign.verdict), _ADVICE)
        for interface, sign in signs.items()
        if sign is not None and sign.verdict is not Verdict.OK
    ]


def preview(app: App, views: list[View], wish: Wish | None = None) -> list[Settled]:
    """Return what settling nodes with these rows would change. Code 0, 7, or 10 for a node that does not answer."""

    def one(view: View) -> Settled:
        try:
            return _preview(app, view, wish or Wish())
        except VpnctlError as error:
            if isinstance(error, Distrust):
                failed(app, view.node.id, error)  # an alarm that was seen is not forgotten by `status`
            return Settled(view.node.id, view.node.name, error.code, error=error.what, hint=error.hint)

    return side_by_side(app, one, views)


def _preview(app: App, view: View, wish: Wish) -> Settled:
    with drive(app, view) as way:
        what = Query(wish.scope, proven(view), paths.tries(app, view) if wish.prove else {})
        observed = look(app, view, way, what)
    with app.store.read() as tx:
        check_token(tx, view.node, observed)
    found = compare(app, view, observed, wish)
    if wish.prove:
        paths.record(app, view, observed)
    who = {peer.identity: f"{view.owners[peer.user_id]}/{peer.device}" for peer in view.peers}
    changes = tuple(_named(change, who) for change in found.changes)
    return Settled(view.node.id, view.node.name, 0, changes, notes=found.notes)


def _named(change: Change, who: Mapping[str, str]) -> Change:
    """Return a change with `USER/DEVICE` in the place of an identity of ours: people are not known by their keys."""
    return replace(change, whose=who.get(change.identity, "")) if isinstance(change, OfPeer) else change
