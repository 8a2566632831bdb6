"""Whether packets pass a node: what to try there, what it means, and what is remembered of it.

A handshake proves less: hosts with Docker or ufw answer it and drop what comes after (facts F26). So a packet of a
throw-away peer goes in at the tunnel, must leave the node, and its answer must come back (the protocol's path.sh).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from vpnctl.actions.fleet.desired import View
from vpnctl.app import App
from vpnctl.protocols import plugin
from vpnctl.rules.grammar import Network
from vpnctl.rules.observed import Observed
from vpnctl.rules.path import PathCode, path_words
from vpnctl.store import models
from vpnctl.store.engine import Tx
from vpnctl.store.rows import Endpoint, Node

_LOOKED_AT = 64
"""How many addresses from the pool's end are looked at for a free one."""
_SMALL = 4
NOT_UP = ": not up"
"""How a path's error ends where the endpoint does not run."""


def tries(app: App, view: View) -> dict[str, tuple[str | None, str | None]]:
    """Return, per endpoint, addresses at the end of its pools that nobody has (IPv4, IPv6), to try packets with.

    None where a pool has none left there.
    """
    with app.store.read() as tx:
        return {each.name: _free(tx, each) for each in view.endpoints if each.removed_at is None}


def _free(tx: Tx, endpoint: Endpoint) -> tuple[str | None, str | None]:
    pools = plugin(endpoint.protocol).pools(endpoint.options)
    own = {pools.own_v4} if pools.own_v4 else set()
    return (
        _last_free(tx, endpoint, pools.v4, models.peer.c.ipv4, own),
        _last_free(tx, endpoint, pools.v6, models.peer.c.ipv6, set()),
    )


def _last_free(tx: Tx, endpoint: Endpoint, pool: Network | None, column: sa.Column[str], own: set[str]) -> str | None:
    if pool is None:
        return None
    low, high = 2, pool.num_addresses - (3 if pool.num_addresses > _SMALL else 2)  # `measure` has the one after it
    near = [str(pool.network_address + number) for number in range(max(low, high - _LOOKED_AT), high + 1)]
    here = (models.peer.c.endpoint_id == endpoint.id, column.in_(near))
    taken = own | set(tx.execute(sa.select(column).where(*here)).scalars())
    kept = (models.alien.c.endpoint_id == endpoint.id, models.alien.c.pruned_at.is_(None))
    for networks in tx.execute(sa.select(models.alien.c.allowed_ips).where(*kept)).scalars():
        taken |= {each.partition("/")[0] for each in networks.split(", ")}
    return next((each for each in reversed(near) if each not in taken), None)


def fault(observed: Observed) -> str:
    """Return in words why packets do not pass; empty when they do, or when nothing was tried."""
    for link, found in sorted(observed.paths.items()):
        for each in found:
            if each.code not in (PathCode.OK, PathCode.BUSY):
                return f"{link}: {path_words(each)}"
    return ""


def columns(view: View, observed: Observed, now: datetime) -> dict[str, Any]:
    """Return what to remember on the node; nothing where nothing was tried.

    Through an endpoint that is not up no packet passes, tried or not; that is forgotten when it is up again.
    """
    served = {each.name for each in view.endpoints if each.removed_at is None and each.digest is not None}
    down = sorted(served - observed.up)
    tried = [each for found in observed.paths.values() for each in found if each.code is not PathCode.BUSY]
    why = f"{', '.join(down)}{NOT_UP}" if down else fault(observed)
    if not tried and not down:
        return {"path_error": None} if (view.node.path_error or "").endswith(NOT_UP) else {}
    if not tried and view.node.path_at is None:  # that it was down is no proof of packets when it is up again
        return {"path_error": why}
    return {"path_error": why or None, "path_at": now}


def record(app: App, view: View, observed: Observed) -> None:
    """Remember what was found, where nothing else is written."""
    node, values = view.node, columns(view, observed, app.clock())
    if values:
        with app.store.write() as tx:
            tx.update(Node, models.node.c.id == node.id, **values)
