"""The way to a node: how to log in there, and the driver that reads and changes it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from vpnctl.actions.fleet.desired import View, desired
from vpnctl.app import App
from vpnctl.remote.driver import Driver, Query, Way, opened
from vpnctl.remote.panel.door import Access
from vpnctl.remote.shell import Login, Shell
from vpnctl.rules.observed import Observed
from vpnctl.store import models
from vpnctl.store.engine import Tx
from vpnctl.store.rows import HTTPS, Node
from vpnctl.store.vault import Vault


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
    with shell(app, view.node) as opened_, contextlib.closing(driver(app, view, opened_)) as found:
        yield found


@contextlib.contextmanager
def shell(app: App, node: Node) -> Iterator[Shell | None]:
    """Open the node's shell, and close it in the end; None where only its panel is reached."""
    if node.kind == HTTPS:
        yield None
        return
    with app.store.read() as tx:
        where = login(tx, node)
    with contextlib.closing(app.connect(where)) as found:
        yield found


def driver(app: App, view: View, through: Shell | None) -> Driver:
    """Return the driver of a node whose shell is open, where it has one. All its endpoints have the same."""
    usual = "panel" if view.node.kind == HTTPS else "node"
    kind = view.endpoints[0].driver if view.endpoints else usual
    return opened(kind, Way(through, access(app.vault, view.node)), view.node.name, app.clock)


def access(vault: Vault, node: Node) -> Access | None:
    """Return how to get into the panel of a node; None where it has none."""
    if node.panel_url is None or node.panel_secret_sealed is None:
        return None
    secret = vault.open(PANEL, node.id, node.panel_secret_sealed)
    return Access(node.panel_url, node.panel_login or "", secret, node.panel_certificate or "")


PANEL = "node.panel"
"""The label of its sealed secret."""


def look(app: App, view: View, way: Driver, what: Query) -> Observed:
    """Read the node and change nothing on it."""
    return way.look(desired(app, view.without_people()), what)


def proven(view: View) -> dict[str, str | None]:
    """Return endpoint id -> digest of its file when it was last proven."""
    return {endpoint.id: endpoint.digest for endpoint in view.endpoints}
