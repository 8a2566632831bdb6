"""The way to a node: how to log in there, and the driver that reads and changes it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from vpnctl.actions.fleet.desired import View, desired
from vpnctl.app import App
from vpnctl.remote.driver import Driver, Query, opened
from vpnctl.remote.shell import Login, Shell
from vpnctl.rules.observed import Observed
from vpnctl.store import models
from vpnctl.store.engine import Tx
from vpnctl.store.rows import Node


def login(tx: Tx, node: Node) -> Login:
    """Return how to log in at a node, through other nodes where that is so."""
    via = None
    if node.jump_id is not None:
        jump = tx.one(Node, models.node.c.id == node.jump_id)
        assert jump is not None  # noqa: S101 - a foreign key
        via = login(tx, jump)
    return Login(node.name, node.kind, node.host, node.port, node.login, node.host_key, via)


@contextlib.contextmanager
def drive(app: App, view: View) -> Iterator[Driver]:
    """Open the node's driver, and close it in the end. Raises what logging in raises."""
    with app.store.read() as tx:
        where = login(tx, view.node)
    shell = app.connect(where)
    try:
        yield driver(app, view, shell)
    finally:
        shell.close()


def driver(app: App, view: View, shell: Shell) -> Driver:
    """Return the driver of a node whose shell is open. All its endpoints have the same."""
    kind = view.endpoints[0].driver if view.endpoints else "node"
    return opened(kind, shell, view.node.name, app.clock)


def look(app: App, view: View, way: Driver, what: Query) -> Observed:
    """Read the node and change nothing on it."""
    return way.look(desired(app, view.without_people()), what)


def proven(view: View) -> dict[str, str | None]:
    """Return endpoint id -> digest of its file when it was last proven."""
    return {endpoint.id: endpoint.digest for endpoint in view.endpoints}
