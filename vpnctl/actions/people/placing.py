"""Where a new peer may go: of what is there, one endpoint of each node, of the protocol that is wanted."""

from __future__ import annotations

from vpnctl.errors import Conflict, NotFound
from vpnctl.protocols import names, plugin, usual
from vpnctl.store.rows import Endpoint, Node

Place = tuple[Endpoint, Node]
"""Where a peer lives."""


def of_protocol(there: list[Place], named: str | None, node: str | None) -> list[Place]:
    """Return one endpoint of each node, of the protocol that is wanted, or else of the first that is served there."""
    served = {endpoint.protocol for endpoint, _ in there}
    protocol = named or next((name for name in names() if name in served), usual())
    plugin(protocol)
    choices = _preferred([pair for pair in there if pair[0].protocol == protocol])
    if not choices and node:
        raise Conflict(f"node {node} does not serve {protocol}", f"vpnctl node provision {node} --protocol {protocol}")
    if not choices:
        raise NotFound(f"no node serves {protocol} yet", "vpnctl node add NAME HOST --provision")
    return choices


def _preferred(there: list[Place]) -> list[Place]:
    """Return one endpoint of each node: the one that its protocol prefers, the first by name among equals."""
    best: dict[str, Place] = {}
    for endpoint, node in there:
        kind, other = plugin(endpoint.protocol), best.get(node.id)
        if other is None or kind.preference(endpoint.options) > kind.preference(other[0].options):
            best[node.id] = (endpoint, node)
    return list(best.values())


def spare(node: Node, load: int) -> tuple[int, int]:
    """Nodes without a stated capacity count as roomy; among them the emptier one comes first."""
    return (node.capacity - load if node.capacity is not None else 10**9, -load)
