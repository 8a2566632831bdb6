"""Our own peer on every endpoint, and handshakes with it. It has no address: it can shake hands and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from vpnctl.app import App
from vpnctl.protocols import plugin
from vpnctl.protocols.conversation import Conversation
from vpnctl.protocols.interface import Credentials
from vpnctl.remote.probe import Handshake
from vpnctl.store import models
from vpnctl.store.rows import Endpoint, Node
from vpnctl.store.vault import Vault

SECRET, SHARED = "endpoint.probe_key", "endpoint.probe_psk"
_STEP = timedelta(milliseconds=1)


def fresh(vault: Vault, protocol: str, endpoint_id: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of a new probe peer; none where a connection that opens is all that can be tried."""
    kind = plugin(protocol)
    own = kind.issue()
    if own.secret is None or own.shared is None or kind.conversation(own.identity, own, options) is None:
        return {}
    return {
        "probe_identity": own.identity,
        "probe_secret_sealed": vault.seal(SECRET, endpoint_id, own.secret),
        "probe_shared_sealed": vault.seal(SHARED, endpoint_id, own.shared),
    }


def ensure(app: App, node_ids: Iterable[str]) -> None:
    """Give a probe peer to endpoints that were made before there were any; the next settle puts it there."""
    table = models.endpoint.c
    lacking = (table.node_id.in_(list(node_ids)), table.removed_at.is_(None), table.probe_identity.is_(None))
    with app.store.read() as tx:
        rows = tx.all(Endpoint, *lacking)
    probes = {row.id: values for row in rows if (values := fresh(app.vault, row.protocol, row.id, row.options))}
    if probes:
        with app.store.write() as tx:
            for endpoint_id, values in probes.items():
                same = (table.id == endpoint_id, table.probe_identity.is_(None))
                tx.update(Endpoint, *same, changed_at=app.clock(), proven_at=None, **values)


def shake(app: App, public_host: str, endpoint: Endpoint) -> Handshake | None:
    """Shake hands with an endpoint as a client would, or see whether it listens; None without probe peer yet."""
    talk = conversation(app, endpoint)
    if talk is None and endpoint.transport == "udp":
        return None
    return app.shake(public_host, endpoint.port, talk, lambda: later(app, endpoint.id))


def shake_all(app: App, node: Node) -> dict[str, Handshake | None]:
    """Shake hands with every endpoint of a node."""
    table = models.endpoint.c
    with app.store.read() as tx:
        rows = tx.all(Endpoint, table.node_id == node.id, table.removed_at.is_(None), order=table.name)
    return {row.name: shake(app, node.public_host, row) for row in rows}


def address(endpoint: Endpoint) -> str:
    """Return the address that the probe peer has while it measures: the pool's last one, which is given out last."""
    pools = plugin(endpoint.protocol).pools(endpoint.options)
    assert pools.v4 is not None  # noqa: S101 - only endpoints with a pool are measured
    last = pools.v4.broadcast_address - 1
    return str(last if str(last) != pools.own_v4 else last - 1)


def conversation(app: App, endpoint: Endpoint) -> Conversation | None:
    """Return how an endpoint's probe peer talks to it; None when there is none."""
    if endpoint.probe_identity is None:
        return None
    sealed = ((SECRET, endpoint.probe_secret_sealed), (SHARED, endpoint.probe_shared_sealed))
    secret, shared = (app.vault.open(label, endpoint.id, text or "") for label, text in sealed)
    own = Credentials(endpoint.probe_identity, secret, shared)
    kind, server = plugin(endpoint.protocol), None
    if kind.supports.server_secret and endpoint.secret_sealed is not None:
        server = app.vault.open("endpoint.key", endpoint.id, endpoint.secret_sealed)
    return kind.conversation(endpoint.identity, own, endpoint.options, server)


def later(app: App, endpoint_id: str) -> tuple[int, int]:
    """Return a time later than in every earlier handshake of this key, noted before it is sent.

    WireGuard drops a first message that is not newer than the last one it took, so a clock that went back would
    make every node look dead.
    """
    table = models.endpoint.c
    with app.store.write() as tx:
        last = tx.execute(sa.select(table.probed_at).where(table.id == endpoint_id)).scalar()
        now = app.clock().astimezone(UTC)
        moment = max(now, last + _STEP) if last is not None else now
        tx.update(Endpoint, table.id == endpoint_id, probed_at=moment)
    whole = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return whole.days * 86400 + whole.seconds, whole.microseconds * 1000
