"""The service's figures in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from vpnctl.reports import fleet
from vpnctl.rules.health import NodeVerdict
from vpnctl.store import models
from vpnctl.store.engine import Tx
from vpnctl.store.queue import holding, pending_nodes, unproven
from vpnctl.store.rows import Health, Node

if TYPE_CHECKING:
    from prometheus_client.core import Metric

_sub, _user, _peer = models.subscription.c, models.user.c, models.peer.c
AGES = (30, 90, 365)
"""Days: subscriptions are counted by how long their person has been one."""


def exposition(tx: Tx, now: datetime, jobs: Sequence[str]) -> bytes:
    """Return all figures as text, Prometheus' format 0.0.4."""
    from prometheus_client import CollectorRegistry, generate_latest

    found = list(_metrics(tx, now, jobs))

    class Once:
        def collect(self) -> Iterable[Metric]:
            return found

    registry = CollectorRegistry()
    registry.register(Once())
    return generate_latest(registry)


def _metrics(tx: Tx, now: datetime, jobs: Sequence[str]) -> Iterable[Metric]:
    yield _gauge(
        "vpnctl_users", "People, removed ones left out.", [((), _count(tx, models.user, _user.removed_at.is_(None)))]
    )
    live = fleet.peer_counts(tx, now, sa.literal("all")).get("all", (0, 0))
    yield _gauge("vpnctl_peers", "Devices that are not revoked.", [((), live[0])])
    yield _gauge("vpnctl_peers_online", "Devices with a live session.", [((), live[1])])
    waiting = sa.select(sa.func.count()).select_from(models.peer).join(models.user, _user.id == _peer.user_id)
    yield _gauge(
        "vpnctl_peers_pending",
        "Devices not seen as they should be.",
        [((), tx.execute(waiting.where(unproven(now))).scalar())],
    )
    yield from _subscriptions(tx, now)
    yield from _nodes(tx, now)
    yield from _jobs(tx, jobs)
    yield from _money(tx, now)
    notices = models.notice.c
    unsent = _count(tx, models.notice, notices.sent_at.is_(None), notices.failed_at.is_(None))
    yield _gauge("vpnctl_notices_waiting", "Messages that wait to be sent.", [((), unsent)])


def _subscriptions(tx: Tx, now: datetime) -> Iterable[Metric]:
    valid = (holding(now),)
    trials = _count(tx, models.subscription, *valid, _sub.source == "trial")
    yield _gauge("vpnctl_trials_active", "Trials that run.", [((), trials)])
    rows = []
    younger = now
    for days in (*AGES, None):
        older = now - timedelta(days=days) if days else None
        age = [_user.created_at <= younger, *([_user.created_at > older] if older else [])]
        query = (
            sa.select(sa.func.count())
            .select_from(models.subscription)
            .join(models.user, _user.id == _sub.user_id)
            .where(*valid, _sub.source != "trial", *age)
        )
        rows.append(((f"{days}" if days else "+",), tx.execute(query).scalar()))
        younger = older or younger
    text = "Paid and granted subscriptions that cover now, by the age of the account in days (up to)."
    yield _gauge("vpnctl_subscriptions_active", text, rows, ("age_days",))


def _money(tx: Tx, now: datetime) -> Iterable[Metric]:
    """Orders and payments by state, and how long the last day's took from the money to the nodes."""
    order, payment = models.order.c, models.payment.c
    keys = (order.provider, order.state)
    orders = [((provider, state), count) for provider, state, count in tx.execute(_counted(keys))]
    yield _gauge("vpnctl_orders", "Orders by provider and state.", orders, ("provider", "state"))
    pays = [((who, state), count) for who, state, count in tx.execute(_counted((payment.provider, payment.state)))]
    yield _gauge(
        "vpnctl_payments", "Payments by provider and state; `failed` brought no money.", pays, ("provider", "state")
    )
    lately = sa.select(order.paid_at, order.fulfilled_at).where(order.fulfilled_at > now - timedelta(days=1))
    took = [(done - paid).total_seconds() for paid, done in tx.execute(lately) if paid is not None]
    text = "The longest time of the last day from booked money to nodes that agree."
    yield _gauge("vpnctl_paid_to_served_seconds", text, [((), max(took, default=None))])


def _counted(keys: tuple[Any, Any]) -> Any:
    return sa.select(*keys, sa.func.count()).group_by(*keys).order_by(*keys)


def _nodes(tx: Tx, now: datetime) -> Iterable[Metric]:
    nodes = tx.all(Node, models.node.c.retired_at.is_(None), order=models.node.c.name)
    health = {row.node_id: row for row in tx.all(Health)}
    pending = set(pending_nodes(tx, now))
    counts = fleet.peer_counts(tx, now, models.endpoint.c.node_id)
    verdicts = [
        ((node.name, str(verdict)), int(node.id in health and health[node.id].verdict == verdict))
        for node in nodes
        for verdict in NodeVerdict
    ]
    yield _gauge("vpnctl_node_health", "1 for the verdict on the node.", verdicts, ("node", "verdict"))
    figures: dict[str, tuple[str, Any]] = {
        "vpnctl_node_pending": ("1 where the node is not known to agree.", lambda node: int(node.id in pending)),
        "vpnctl_node_peers": ("Devices on the node.", lambda node: counts.get(node.id, (0, 0))[0]),
        "vpnctl_node_peers_online": ("Devices online on the node.", lambda node: counts.get(node.id, (0, 0))[1]),
        "vpnctl_node_capacity_peers": ("Devices that the node is meant for.", lambda node: node.capacity),
    }
    for name, (text, value) in figures.items():
        yield _gauge(name, text, [((node.name,), value(node)) for node in nodes], ("node",))
    for key in ("load", "cpu", "memory_free", "disk", "skew"):
        signs = [((node.name,), health[node.id].sample.get(key)) for node in nodes if node.id in health]
        yield _gauge(f"vpnctl_node_{key}", f"Vital sign of the node: {key}.", signs, ("node",))
    moved = (
        sa.select(models.node.c.name, sa.func.sum(_peer.rx), sa.func.sum(_peer.tx))
        .select_from(models.peer)
        .join(models.endpoint, models.endpoint.c.id == _peer.endpoint_id)
        .join(models.node, models.node.c.id == models.endpoint.c.node_id)
        .where(models.node.c.retired_at.is_(None))
        .group_by(models.node.c.name)
    )
    rows = [
        ((name, way), int(value))
        for name, rx, sent in tx.execute(moved)
        for way, value in (("received", rx), ("sent", sent))
    ]
    yield _gauge(
        "vpnctl_node_traffic_bytes", "Bytes of all devices there ever were.", rows, ("node", "way"), counter=True
    )


def _jobs(tx: Tx, jobs: Sequence[str]) -> Iterable[Metric]:
    table = models.job_run.c
    last, took, codes = [], [], []
    for name in jobs:
        query = sa.select(table.started_at, table.finished_at, table.code)
        row = tx.execute(
            query.where(table.job == name, table.finished_at.is_not(None)).order_by(table.started_at.desc()).limit(1)
        ).first()
        if row is not None:
            last.append(((name,), row.finished_at.timestamp()))
            took.append(((name,), (row.finished_at - row.started_at).total_seconds()))
            codes.append(((name,), row.code))
    yield _gauge("vpnctl_job_finished_timestamp_seconds", "When a job last finished.", last, ("job",))
    yield _gauge("vpnctl_job_duration_seconds", "How long it took.", took, ("job",))
    yield _gauge("vpnctl_job_exit_code", "How it ended.", codes, ("job",))


def _gauge(
    name: str,
    text: str,
    rows: Iterable[tuple[tuple[str, ...], Any]],
    labels: Sequence[str] = (),
    *,
    counter: bool = False,
) -> Metric:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    made = (CounterMetricFamily if counter else GaugeMetricFamily)(name, text, labels=labels)
    for values, number in rows:
        if number is not None:
            made.add_metric(values, float(number))
    return made


def _count(tx: Tx, table: sa.Table, *where: Any) -> int:
    return tx.execute(sa.select(sa.func.count()).select_from(table).where(*where)).scalar() or 0
