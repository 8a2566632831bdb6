"""Reading nodes without changing them: traffic and handshakes go into the ledger."""

from __future__ import annotations

from collections.abc import Sequence

from vpnctl.actions.fleet import node_lock, proof, trust
from vpnctl.actions.fleet.desired import load
from vpnctl.actions.fleet.driving import drive, look, proven
from vpnctl.actions.fleet.side_by_side import side_by_side
from vpnctl.actions.outcome import Settled
from vpnctl.app import App
from vpnctl.errors import VpnctlError, bug
from vpnctl.remote.driver import Query
from vpnctl.rules.changes import PEOPLE
from vpnctl.store import models
from vpnctl.store.rows import Node


def sweep(app: App, nodes: Sequence[Node] | None = None) -> list[Settled]:
    """Read every node, or these, side by side and book what is read. Code 3 for a node that could not be read."""
    if nodes is None:
        with app.store.read() as tx:
            nodes = tx.all(Node, models.node.c.retired_at.is_(None), order=models.node.c.name)

    def one(node: Node) -> Settled:
        try:
            with node_lock.hold(app, node):
                _read(app, node)
            return Settled(node.id, node.name, 0)
        except VpnctlError as error:
            return Settled(node.id, node.name, 3, error=error.what, hint=error.hint)
        except Exception as error:  # noqa: BLE001 - one node's answer must not keep the others from being read
            return Settled(node.id, node.name, 1, error=f"{node.name}: {bug(error)}", hint="please report this line")

    return side_by_side(app, one, nodes)


def _read(app: App, node: Node) -> None:
    with app.store.read() as tx:
        looked = load(tx, node.id, app.clock(), people=False)
    with drive(app, looked) as way:
        observed = look(app, looked, way, Query(PEOPLE, proven(looked)))
    with app.store.read() as tx:
        view = load(tx, node.id, app.clock())
        trust.check_token(tx, view.node, observed)
    with app.store.write() as tx:
        proof.book(tx, view, observed, app.clock())
