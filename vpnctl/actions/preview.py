"""What would change on nodes: for --dry-run of any verb, and for the read-only drift report."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from vpnctl.actions.desired import View, load, login
from vpnctl.actions.outcome import Settled
from vpnctl.actions.proof import check_token
from vpnctl.actions.settle import Wish, compare, look
from vpnctl.app import App
from vpnctl.errors import VpnctlError


def rehearse(app: App, verb: Callable[[App], Iterable[str]], wish: Wish | None = None) -> list[Settled]:
    """Run `verb` (it returns node ids) in a transaction, render to memory, roll back, then observe without writing."""
    with app.store.rehearsal() as store:
        trial = replace(app, store=store)
        ids = sorted(set(verb(trial)))
        with store.read() as tx:
            views = [load(tx, node_id, app.clock()) for node_id in ids]
    return preview(app, views, wish)


def drift(app: App, node_ids: Iterable[str], wish: Wish) -> list[Settled]:
    """Compare nodes with the database as it is; nothing is written anywhere."""
    with app.store.read() as tx:
        views = [load(tx, node_id, app.clock()) for node_id in sorted(set(node_ids))]
    return preview(app, views, wish)


def preview(app: App, views: list[View], wish: Wish | None = None) -> list[Settled]:
    """Return what settling nodes with these rows would change. Code 0, 7, or 10 for a node that does not answer."""
    if not views:
        return []
    with (
        app.progress("nodes", len(views)) as advance,
        ThreadPoolExecutor(min(app.settings.parallel, len(views))) as pool,
    ):

        def one(view: View) -> Settled:
            try:
                return _preview(app, view, wish or Wish())
            except VpnctlError as error:
                return Settled(view.node.id, view.node.name, error.code, error=error.what, hint=error.hint)
            finally:
                advance()

        return list(pool.map(one, views))


def _preview(app: App, view: View, wish: Wish) -> Settled:
    with app.store.read() as tx:
        where = login(tx, view.node)
    shell = app.connect(where)
    try:
        observed = look(app, view, shell, wish.scope)
    finally:
        shell.close()
    with app.store.read() as tx:
        check_token(tx, view.node, observed)
    return Settled(view.node.id, view.node.name, 0, compare(app, view, observed, wish).changes)
