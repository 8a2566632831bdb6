"""Which worker settles a node, where several machines share a database: whoever has it on loan (a lease).

It spares work and nothing else hangs on it: a node refuses older orders by its token (docs/adr/0003). What a killed
worker held is free again after LASTS.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol

from vpnctl.app import App
from vpnctl.store import leases

LASTS = timedelta(minutes=2)


class Claims(Protocol):
    """See the module."""

    def take(self, node_ids: Sequence[str], most: int) -> list[str]:
        """Return up to `most` of these nodes that are ours to settle now."""

    def release(self, node_id: str) -> None:
        """Let others settle a node."""


class Alone:
    """One machine: a lock per node is all that is needed (`actions.fleet.node_lock`)."""

    def take(self, node_ids: Sequence[str], most: int) -> list[str]:
        """See `Claims.take`."""
        return list(node_ids[:most])

    def release(self, node_id: str) -> None:
        """See `Claims.release`."""


class Shared:
    """Several machines on PostgreSQL."""

    def __init__(self, app: App, holder: str) -> None:
        self._app, self._holder = app, holder

    def take(self, node_ids: Sequence[str], most: int) -> list[str]:
        """See `Claims.take`."""
        if not node_ids or most < 1:
            return []
        names = [f"node:{each}" for each in node_ids]
        with self._app.store.write() as tx:
            mine = leases.take(tx, names, self._holder, self._app.clock(), LASTS, most)
        return [name.removeprefix("node:") for name in mine]

    def release(self, node_id: str) -> None:
        """See `Claims.release`."""
        with self._app.store.write() as tx:
            leases.release(tx, [f"node:{node_id}"], self._holder)
