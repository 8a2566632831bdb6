"""Measuring the way to a node and through its tunnel. Nothing is left behind on the node.

For the tunnel our probe peer gets an address for as long as that takes: through the database and a settle, as
everything on a node. Killed meanwhile, the address ends by itself and the next sync takes it away.
"""

from __future__ import annotations

import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from vpnctl.actions.fleet import probes
from vpnctl.actions.fleet.desired import load
from vpnctl.actions.fleet.driving import driver, login, look, proven
from vpnctl.actions.fleet.settle import Wish, settle
from vpnctl.actions.outcome import Settled
from vpnctl.app import App
from vpnctl.errors import Conflict, NodeFailed, Unreachable
from vpnctl.protocols import plugin
from vpnctl.remote import probe
from vpnctl.remote.driver import Query
from vpnctl.remote.probe import Verdict
from vpnctl.remote.shell import Shell
from vpnctl.remote.tunnel import PAYLOAD, Tunnel
from vpnctl.rules.addresses import server_address
from vpnctl.rules.changes import PEOPLE
from vpnctl.store import find, models
from vpnctl.store.engine import Tx
from vpnctl.store.rows import Endpoint, Measurement, Node, Peer

HANDSHAKES = 10
BULK = 8 * 1024 * 1024
"""Bytes that go through SSH each way."""
MEASURING = timedelta(minutes=2)
PORT = 40001
_POUR = "exec 3>/dev/udp/{own}/{port}; timeout {seconds} dd if=/dev/zero bs={size} >&3 2>/dev/null; true"


@dataclass(frozen=True)
class Measured:
    """What was found, `direct` and through the `tunnel`; megabits a second of payload."""

    node: str
    way: str
    latency_ms: float | None
    loss: float | None
    down_mbit: float | None
    up_mbit: float | None


def measure(app: App, name: str, seconds: float) -> tuple[list[Measured], list[Settled]]:
    """Measure a node and keep the figures. Return them, and how settling the node came out afterwards."""
    with app.store.read() as tx:
        node = find.node(tx, name)
        endpoint = next(iter(find.endpoints(tx, node)), None)
        where = login(tx, node)
    if endpoint is None or endpoint.digest is None:
        raise Conflict(f"{name} serves nothing yet", f"vpnctl node provision {name}")
    pools = plugin(endpoint.protocol).pools(endpoint.options)
    if pools:
        _refuse_taken(app, endpoint)
    probes.ensure(app, [node.id])
    shell = app.connect(where)
    try:
        found = [_direct(app, node, endpoint, shell)]
        settled = _through(app, (node, endpoint), shell, seconds, found) if pools else []
    finally:
        shell.close()
    with app.store.write() as tx:
        for each in found:
            figures = {name: getattr(each, name) for name in ("way", "latency_ms", "loss", "down_mbit", "up_mbit")}
            tx.insert(Measurement(id=str(uuid.uuid4()), node_id=node.id, at=app.clock(), **figures))
    return found, settled


def _through(
    app: App, where: tuple[Node, Endpoint], shell: Shell, seconds: float, found: list[Measured]
) -> list[Settled]:
    """Measure the tunnel too; return how the node came out when the probe peer's address was taken back."""
    node, endpoint = where
    settled = _address(app, endpoint, until=app.clock() + MEASURING)
    try:
        if any(each.code for each in settled):
            raise NodeFailed(settled[0].error, settled[0].hint)
        found.append(_tunnel(app, node, endpoint, shell, seconds))
    finally:
        settled = _address(app, endpoint, until=None)
    return settled


def _refuse_taken(app: App, endpoint: Endpoint) -> None:
    table = models.peer.c
    with app.store.read() as tx:
        if tx.one(Peer, table.endpoint_id == endpoint.id, table.ipv4 == probes.address(endpoint)) is not None:
            raise Conflict("the pool is full: no address is left to measure with", "vpnctl endpoint add …")


def _direct(app: App, node: Node, endpoint: Endpoint, shell: Shell) -> Measured:
    """Latency and loss by handshakes over UDP; throughput through SSH, which is a lower bound."""
    shaken = []
    for _ in range(HANDSHAKES):
        shaken.append(probes.shake(app, node.public_host, endpoint))
        time.sleep(probe.SPACING)
    times = [each.milliseconds for each in shaken if each is not None and each.milliseconds is not None]
    began = time.monotonic()
    shell.run(("true",))
    trip = time.monotonic() - began
    began = time.monotonic()
    shell.run(("head", "-c", str(BULK), "/dev/zero"))
    down = time.monotonic() - began - trip
    began = time.monotonic()
    shell.run(("wc", "-c"), bytes(BULK))
    up = time.monotonic() - began - trip
    loss = 1 - len(times) / HANDSHAKES
    return Measured(node.name, "direct", median(times) if times else None, loss, _mbit(BULK, down), _mbit(BULK, up))


def _address(app: App, endpoint: Endpoint, *, until: datetime | None) -> list[Settled]:
    """Give the probe peer an address until then, or take it back with None."""
    with app.store.write() as tx:
        tx.update(Endpoint, models.endpoint.c.id == endpoint.id, measuring_until=until)
    return settle(app, [endpoint.node_id], Wish(always=True))


def _tunnel(app: App, node: Node, endpoint: Endpoint, shell: Shell, seconds: float) -> Measured:
    own = probes.address(endpoint)
    pools, talk = plugin(endpoint.protocol).pools(endpoint.options), probes.conversation(app, endpoint)
    assert pools.v4 is not None and talk is not None  # noqa: S101 - it has pools, and a probe since `ensure`
    server = pools.own_v4 or server_address(pools.v4)
    line = probe.connect(node.public_host, endpoint.port)
    with line, ThreadPoolExecutor(1) as pool:
        shaken = probe.shake_on(line, talk, lambda: probes.later(app, endpoint.id))
        if shaken.verdict is not Verdict.OK:
            raise Unreachable(f"{node.name}: no handshake: {shaken.verdict}", f"vpnctl node check {node.name}")
        tunnel = Tunnel(line, talk.session(), own, server)
        echo = tunnel.ping()
        script = _POUR.format(own=own, port=PORT, seconds=f"{seconds:g}", size=PAYLOAD)
        pouring = pool.submit(shell.run, ("bash", "-c", script), b"", seconds + 10)
        total, took = tunnel.drink(PORT, seconds + 3)
        pouring.result()
        before = _received(app, node, endpoint, shell)
        tunnel.pour(seconds)
        up = _mbit(_received(app, node, endpoint, shell) - before, seconds)
    return Measured(node.name, "tunnel", echo.milliseconds, echo.loss, _mbit(total, took), up)


def _received(app: App, node: Node, endpoint: Endpoint, shell: Shell) -> int:
    """Return the bytes that the node counts as received from our probe peer."""
    with app.store.read() as tx:
        view = load(tx, node.id, app.clock(), people=False)
    observed = look(app, view, driver(app, view, shell), Query(PEOPLE, proven(view)))
    found = observed.endpoints[endpoint.name].peers.get(endpoint.probe_identity or "")
    return found.rx if found else 0


def _mbit(amount: int, seconds: float) -> float | None:
    return round(amount * 8 / 1e6 / seconds, 1) if seconds > 0 and amount > 0 else None


def slow(tx: Tx, app: App, node: Node) -> dict[str, str]:
    """Return where the last measurement of this week is worse than the operator wants it, in words."""
    table, settings = models.measurement.c, app.settings
    week = app.clock() - timedelta(days=7)
    rows = tx.all(Measurement, table.node_id == node.id, table.at > week, order=table.at.desc(), limit=1)
    if not rows:
        return {}
    last, found = rows[0], {}
    if settings.max_latency_ms and last.latency_ms is not None and last.latency_ms > settings.max_latency_ms:
        found["latency"] = f"measured latency {last.latency_ms:.0f} ms, wanted at most {settings.max_latency_ms} ms"
    speed = min((each for each in (last.down_mbit, last.up_mbit) if each is not None), default=None)
    if settings.min_throughput_mbit and speed is not None and speed < settings.min_throughput_mbit:
        found["throughput"] = f"measured {speed:.0f} Mbit/s, wanted at least {settings.min_throughput_mbit} Mbit/s"
    return found
