"""Our own peer on every endpoint, and handshakes with it. It has no address: it can shake hands and nothing else."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from vpnctl.app import App
from vpnctl.protocols import plugin
from vpnctl.protocols.handshake import Identity
from vpnctl.remote.probe import Handshake
from vpnctl.rules import grammar
from vpnctl.store import models
from vpnctl.store.rows import Endpoint, Node
from vpnctl.store.vault import Vault

KEY, PSK = "endpoint.probe_key", "endpoint.probe_psk"
_STEP = timedelta(milliseconds=1)


def fresh(vault: Vault, protocol: str, endpoint_id: str) -> dict[str, str]:
    """Return the columns of a new probe peer."""
    kind = plugin(protocol)
    secret, public = kind.keypair()
    return {
        "probe_public": public,
        "probe_key_sealed": vault.seal(KEY, endpoint_id, secret),
        "probe_psk_sealed": vault.seal(PSK, endpoint_id, kind.psk()),
    }


def ensure(app: App, node_ids: Iterable[str]) -> None:
    """Give a probe peer to endpoints that were made before there were any; the next settle puts it there."""
    table = models.endpoint.c
    lacking = (table.node_id.in_(list(node_ids)), table.removed_at.is_(None), table.probe_public.is_(None))
    with app.store.read() as tx:
        if tx.execute(sa.select(table.id).where(*lacking)).first() is None:
            return
    with app.store.write() as tx:
        for row in tx.all(Endpoint, *lacking):
            values = fresh(app.vault, row.protocol, row.id)
            tx.update(Endpoint, table.id == row.id, changed_at=app.clock(), proven_at=None, **values)


def shake(app: App, public_host: str, endpoint: Endpoint) -> Handshake | None:
    """Shake hands with an endpoint as a client would; None when it has no probe peer yet."""
    if endpoint.probe_key_sealed is None or endpoint.probe_psk_sealed is None:
        return None
    return app.shake(public_host, endpoint.port, identity(app, endpoint), lambda: later(app, endpoint.id))


def shake_all(app: App, node: Node) -> dict[str, Handshake | None]:
    """Shake hands with every endpoint of a node."""
    table = models.endpoint.c
    with app.store.read() as tx:
        rows = tx.all(Endpoint, table.node_id == node.id, table.removed_at.is_(None), order=table.interface)
    return {row.interface: shake(app, node.public_host, row) for row in rows}


def address(endpoint: Endpoint) -> str:
    """Return the address that the probe peer has while it measures: the pool's last one, which is given out last."""
    return str(grammar.network(endpoint.pool_v4).broadcast_address - 1)


def identity(app: App, endpoint: Endpoint) -> Identity:
    """Return the keys of an endpoint's probe peer."""
    sealed = ((KEY, endpoint.probe_key_sealed), (PSK, endpoint.probe_psk_sealed))
    private, psk = (base64.b64decode(app.vault.open(label, endpoint.id, text or "").reveal()) for label, text in sealed)
    return Identity(private, base64.b64decode(endpoint.public_key), psk)


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
