"""Endpoints that follow others on the same node: of a newer generation, or with a new key."""

from __future__ import annotations

from vpnctl.actions.fleet.endpoints import NewEndpoint, create, general
from vpnctl.actions.outcome import Done, stamp
from vpnctl.app import App
from vpnctl.errors import Conflict
from vpnctl.protocols import plugin
from vpnctl.store import events, find, models
from vpnctl.store.engine import Tx
from vpnctl.store.rows import Endpoint, Node


def upgrade(app: App, node_name: str, name: str) -> Done[Endpoint]:
    """Serve the newest generation of an endpoint's protocol beside it, on the next free port; people are moved later.

    Conflict when it is the newest. The old endpoint goes on until it is empty and removed. Run again, it finds the one
    that is there.
    """
    with app.store.write() as tx:
        node = find.node(tx, node_name)
        row = find.endpoint(tx, node, name)
        kind = plugin(row.protocol)
        options = kind.newer(row.options)
        if options is None:
            raise Conflict(f"{node.name} {row.name} speaks the newest generation already", "nothing is to be done")
        for other in find.endpoints(tx, node):
            same = other.protocol == row.protocol
            if same and kind.preference(other.options) > kind.preference(row.options):
                return Done(other, [node.id])
        new = NewEndpoint(row.protocol, {"forward_rule": row.forward_rule}, options)
        return Done(create(tx, app, node, new), [node.id])


def rotate(app: App, node_name: str, name: str, port: int | None = None) -> Done[Endpoint]:
    """Serve the same beside an endpoint, with a new key, port, pools and parameters; new devices get that from now on.

    People are moved later (`people.rotation`). Run again, it finds the one that is there; Conflict where that has
    another port.
    """
    with app.store.write() as tx:
        node = find.node(tx, node_name)
        row = find.endpoint(tx, node, name)
        for other in find.endpoints(tx, node):
            if other.id == row.successor_id:
                if port not in (None, other.port):
                    raise Conflict(
                        f"{node.name} {row.name} is followed by {other.name} on port {other.port} already",
                        f"leave --port out, or: vpnctl endpoint remove {node.name} {other.name}",
                    )
                return Done(other, [node.id])
        if node.draining_at is not None:
            raise Conflict(f"node {node.name} is being drained", f"vpnctl node drain {node.name} --off")
        given = {"forward_rule": row.forward_rule, "port": port}
        new = NewEndpoint(row.protocol, general(given), plugin(row.protocol).renewed(row.options))
        made = create(tx, app, node, new)
        tx.update(Endpoint, models.endpoint.c.id == row.id, successor_id=made.id)
        subject = ("endpoint", row.id, f"{node.name} {name}")
        events.record(tx, stamp(app), "endpoint.rotate", subject, None, {"successor": made.name, "port": made.port})
        return Done(made, [node.id])


def followed_by(tx: Tx, node: Node, name: str) -> Endpoint | None:
    """Return the living successor of an endpoint that was called so and ended; None where there is none."""
    table = models.endpoint.c
    ended = (table.node_id == node.id, table.name == name, table.removed_at.is_not(None))
    heirs = [each.successor_id for each in tx.all(Endpoint, *ended, order=table.removed_at) if each.successor_id]
    return tx.one(Endpoint, table.id == heirs[-1], table.removed_at.is_(None)) if heirs else None
