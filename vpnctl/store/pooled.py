"""Addresses of an endpoint's pools: which are in use."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime

import sqlalchemy as sa

from vpnctl.rules import grammar
from vpnctl.store import models
from vpnctl.store.engine import Tx
from vpnctl.store.rows import Alien, Endpoint, Peer


def taken(tx: Tx, endpoint: Endpoint, before: datetime) -> dict[int, set[str]]:
    """Return the addresses in use by family, after taking back those whose peers were seen absent before then."""
    table = models.peer.c
    tx.update(
        Peer,
        table.endpoint_id == endpoint.id,
        table.revoked_at.is_not(None),
        table.absent_at < before,
        ipv4=None,
        ipv6=None,
    )
    found: dict[int, set[str]] = defaultdict(set)
    for ipv4, ipv6 in tx.execute(sa.select(table.ipv4, table.ipv6).where(table.endpoint_id == endpoint.id)):
        found[4] |= {ipv4} if ipv4 else set()
        found[6] |= {ipv6} if ipv6 else set()
    for alien in tx.all(Alien, models.alien.c.endpoint_id == endpoint.id, models.alien.c.pruned_at.is_(None)):
        for text in filter(None, alien.allowed_ips.split(", ")):
            network = grammar.network(text)
            if network.num_addresses == 1:
                found[network.version].add(str(network.network_address))
    return found
