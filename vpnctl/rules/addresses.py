"""Which addresses of a pool a peer may get."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterator

from vpnctl.errors import Conflict
from vpnctl.rules.grammar import Network


def server_address(pool: Network) -> str:
    """Return the address of the node itself: the first host of the pool."""
    return str(pool.network_address + 1)


def capacity(pool: Network) -> int:
    """Return how many peers the pool has room for."""
    return max(0, pool.num_addresses - (3 if pool.version == 4 else 2))  # noqa: PLR2004


def free(pool: Network, taken: Collection[str]) -> Iterator[str]:
    """Yield the free addresses of the pool, lowest first.

    Never the network address, the server's, or (v4) the broadcast address. Raises Conflict when the pool is full.
    """
    used = {int(ipaddress.ip_address(text)) for text in taken}
    first = int(pool.network_address) + 2
    for number in range(first, first + capacity(pool)):
        if number not in used:
            yield str(pool.network_address + (number - int(pool.network_address)))
    raise Conflict(
        f"the address pool {pool} is full",
        "revoke peers nobody uses (addresses come back after 24 h), or add an endpoint with another --pool",
    )
