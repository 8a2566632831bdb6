"""Rows as the API shows them, read by id at the moment of the answer."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

from vpnctl.actions.service.apiruns import Shown
from vpnctl.app import App
from vpnctl.errors import NotFound
from vpnctl.reports import books, devices, fleet, people, tariffs
from vpnctl.reports.books import OrderView
from vpnctl.reports.devices import PeerView
from vpnctl.reports.fleet import NodeView
from vpnctl.reports.people import UserFilter, UserView
from vpnctl.reports.tariffs import SubscriptionFilter, SubscriptionView
from vpnctl.rules.grammar import clean
from vpnctl.store import find, models
from vpnctl.store.engine import Tx

Row = TypeVar("Row")
NOTHING = Shown("nothing")


def user(tx: Tx, app: App, user_id: str) -> UserView:
    """Return a person. Raises NotFound."""
    return _one(people.users(tx, app.clock(), UserFilter(user_id=user_id)), "person", user_id)


def node(tx: Tx, app: App, name: str) -> NodeView:
    """Return a node. Raises NotFound."""
    return _one(fleet.nodes(tx, app.clock(), name=find.node(tx, name).name), "node", name)


def peer(tx: Tx, app: App, peer_id: str) -> PeerView:
    """Return a device, a revoked one too. Raises NotFound."""
    return _one(devices.peers(tx, app.clock(), models.peer.c.id == peer_id, revoked=True), "device", peer_id)


def subscriptions(tx: Tx, app: App, name: str) -> list[SubscriptionView]:
    """Return a person's periods, those that end first first."""
    soon = timedelta(hours=app.settings.expiring_soon_hours)
    return tariffs.subscriptions(tx, app.clock(), soon, SubscriptionFilter(find.user(tx, name).name))


def order(tx: Tx, number: int) -> OrderView:
    """Return an order. Raises NotFound."""
    return _one(books.orders(tx, number=number), "order", str(number))


def rendered(tx: Tx, app: App, shown: Shown) -> Any:
    """Return what an answer shows, as it is now; None for what is gone, or was nothing."""
    kinds: dict[str, Callable[[], Any]] = {
        "nothing": lambda: None,
        "user": lambda: user(tx, app, shown.ids[0]),
        "node": lambda: node(tx, app, shown.ids[0]),
        "peer": lambda: peer(tx, app, shown.ids[0]),
        "peers": lambda: [peer(tx, app, each) for each in shown.ids],
        "subscriptions": lambda: subscriptions(tx, app, shown.ids[0]),
        "order": lambda: order(tx, int(shown.ids[0])),
    }
    try:
        return kinds[shown.kind]()
    except NotFound:
        return None


def _one(found: list[Row], kind: str, name: str) -> Row:
    if not found:
        raise NotFound(f"there is no {kind} {clean(name)}")
    return found[0]
