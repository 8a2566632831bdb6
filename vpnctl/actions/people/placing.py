"""Where a new peer may go: of what is there, one endpoint of each node, of the protocol that is wanted."""

from __future__ import annotations

from vpnctl.errors import Conflict, NotFound
from vpnctl.protocols import names, plugin, usual
from vpnctl.store.rows import Endpoint, Node

Place = tuple[Endpoint, Node]
"""Where a peer lives."""


def of_protocol(there: list[Place], named: str | None, node: str | None, planned: str | None = None) -> list[Place]:
    """Return one endpoint of each node, of the protocol that is wanted: the one that is named or, where it is served
    at all, that of the plan. Else of the node's own, or of the first that is served on any."""
    served = {endpoint.protocol for endpoint, _ in there}
    told = named or (planned if planned in served else None)
    protocol = told or next((name for name in names() if name in served), usual())
    plugin(protocol)
    on = {(place.id, endpoint.protocol) for endpoint, place in there}
    own = {place.id: place.protocol for _, place in there if not told and (place.id, place.protocol) in on}
    choices = _preferred([pair for pair in there if pair[0].protocol == own.get(pair[1].id, protocol)])
    if not choices and node:
        raise Conflict(f"node {node} does not serve {protocol}", f"vpnctl node provision {node} --protocol {protocol}")
    if not choices:
        raise NotFound(f"no node serves {protocol} yet", "vpnctl node add NAME HOST --provision")
    return choices


def _preferred(there: list[Place]) -> list[Place]:
    """Return one endpoint of each node: the one that its protocol prefers, the first by name among equals.

    None whose people are moved to a successor.
    """
    best: dict[str, Place] = {}
    for endpoint, node in staying(there):
        kind, other = plugin(endpoint.protocol), best.get(node.id)
        if other is None or kind.preference(endpoint.options) > kind.preference(other[0].options):
            best[node.id] = (endpoint, node)
    return list(best.values())


def staying(there: list[Place]) -> list[Place]:
    """Leave out endpoints whose successor is there as well."""
    ids = {endpoint.id for endpoint, _ in there}
    return [place for place in there if place[0].successor_id not in ids]


def spare(node: Node, load: int) -> tuple[int, int]:
    """Nodes without a stated capacity count as roomy; among them the emptier one comes first."""
    return (node.capacity - load if node.capacity is not None else 10**9, -load)
