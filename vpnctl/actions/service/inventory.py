"""Inventory: YAML in, one way and previewed. Never secrets; recovery is the business of backups.

What is in the file is added or changed; what is missing from it is reported and left alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date

from vpnctl.actions.fleet import endpoints, nodes
from vpnctl.actions.outcome import stamp
from vpnctl.actions.sales import plans
from vpnctl.actions.service.inventory_form import EndpointEntry, Inventory, NodeEntry, UserEntry
from vpnctl.app import App
from vpnctl.errors import InvalidInput, VpnctlError
from vpnctl.protocols import plugin
from vpnctl.protocols.interface import MissingOption
from vpnctl.remote.shell import Login
from vpnctl.rules import grammar, yamldoc
from vpnctl.store import events, find, models
from vpnctl.store.engine import Tx
from vpnctl.store.rows import HTTPS, Node, User

MOST_USERS = 10_000
"""Each is compared and changed by itself, twice with the preview: more would keep the database for minutes."""


@dataclass(frozen=True)
class InventoryApplied:
    """What applying does: a line per change, and the nodes to settle."""

    lines: tuple[str, ...]
    notes: tuple[str, ...]
    node_ids: tuple[str, ...]


def preview(app: App, inventory: Inventory, document: yamldoc.Document) -> InventoryApplied:
    """Return what `apply` would do; nothing is changed."""
    with app.store.rehearsal() as store:
        return apply(replace(app, store=store), inventory, document)


def apply(app: App, inventory: Inventory, document: yamldoc.Document) -> InventoryApplied:
    """Add and change what the file says, in one transaction."""
    if len(inventory.users) > MOST_USERS:
        raise InvalidInput(
            f"{document.where(('users', MOST_USERS))}: more than {MOST_USERS} people in one file",
            "several files, or names alone: vpnctl user add --from FILE",
        )
    lines: list[str] = []
    touched: set[str] = set()
    with app.store.write() as tx:
        for index, entry in enumerate(inventory.nodes):
            with _located(document, ("nodes", index)):
                touched |= _node(tx, app, entry, lines)
        for index, tariff in enumerate(inventory.plans):
            with _located(document, ("plans", index)):
                lines += filter(None, [plans.upsert(tx, app, tariff.model_dump())])
        _one_trial(inventory, document)
        for index, person in enumerate(inventory.users):
            with _located(document, ("users", index)):
                touched |= set(_user(tx, app, person, lines))
        notes = _unlisted(tx, inventory)
    return InventoryApplied(tuple(lines), tuple(notes), tuple(sorted(touched)))


def _one_trial(inventory: Inventory, document: yamldoc.Document) -> None:
    marked = [index for index, plan in enumerate(inventory.plans) if plan.trial]
    if len(marked) > 1:
        raise InvalidInput(f"{document.where(('plans', marked[1]))}: two plans are marked as the trial", "mark one")


class _located:  # noqa: N801 - reads as a word
    """Prefix errors of ours with the place in the file."""

    def __init__(self, document: yamldoc.Document, path: yamldoc.Path) -> None:
        self._where = document.where(path)

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, VpnctlError):
            raise type(error)(f"{self._where}: {error.what}", error.hint) from None


def _node(tx: Tx, app: App, entry: NodeEntry, lines: list[str]) -> set[str]:
    name = grammar.name(entry.name, "node name")
    row = tx.one(Node, models.node.c.name == name, models.node.c.retired_at.is_(None))
    details = nodes.checked_details(
        {
            "public_host": entry.public_host,
            "region": entry.region,
            "capacity": entry.capacity,
            "rent_due": entry.rent_due,
            "traffic_limit": entry.traffic_limit,
            "traffic_action": entry.traffic_action,
            "protocol": entry.protocol,
        }
    )
    if row is None and entry.panel is not None:
        raise InvalidInput(
            f"node {name}: how to get into a panel stands in no file",
            f"vpnctl node panel {name} {grammar.clean(entry.panel)} --token-stdin, then apply the file again",
        )
    if row is None:
        jump = find.node(tx, entry.jump) if entry.jump else None
        row = nodes.save(tx, app, _login(entry, name), jump, details)
        lines.append(f"add node {name} ({row.host})")
    else:
        _refuse_other_way_in(entry, row)
        new = {key: value for key, value in details.items() if getattr(row, key) != value}
        if new:
            tx.update(Node, models.node.c.id == row.id, **new)
            after = {key: value.isoformat() if isinstance(value, date) else value for key, value in new.items()}
            events.record(tx, stamp(app), "node.set", ("node", row.id, name), None, after)
            lines.append(f"change node {name}: {', '.join(sorted(new))}")
    changed = [_endpoint(tx, app, row, each, lines) for each in entry.endpoints]
    return {row.id} if any(changed) else set()


def _refuse_other_way_in(entry: NodeEntry, row: Node) -> None:
    """How we get into a node is not changed by a file: that is a matter of trust."""
    if (row.panel_url if row.kind == HTTPS else None) != entry.panel:
        raise InvalidInput(f"node {row.name} is reached another way here", f"vpnctl node show {row.name}")
    if (row.kind == "local") != entry.local:
        raise InvalidInput(f"node {row.name} is {'this machine' if row.kind == 'local' else 'reached by SSH'} here")
    if entry.host is not None:
        where = grammar.target(entry.host)
        if (where.host, where.port, where.login) != (row.host, row.port, row.login):
            raise InvalidInput(
                f"node {row.name} has another host here", f"vpnctl node set {row.name} --target {entry.host}"
            )
    if entry.host_key and grammar.host_key(entry.host_key) != row.host_key:
        raise InvalidInput(f"node {row.name} has another host key here", f"vpnctl node trust {row.name}")


def _login(entry: NodeEntry, name: str) -> Login:
    if entry.local == (entry.host is not None):
        raise InvalidInput(f"node {name}: give either `host` or `local: true`")
    if entry.host is None:
        return Login(name, "local", "localhost", 0, "root", "")
    where = grammar.target(entry.host)
    return Login(name, "ssh", where.host, where.port, where.login, grammar.host_key(entry.host_key))


_KEYS = "inventory/README.md describes every key"


def _endpoint(tx: Tx, app: App, node: Node, entry: EndpointEntry, lines: list[str]) -> bool:
    general = endpoints.general({"interface": entry.interface, "port": entry.port, "forward_rule": entry.forward_rule})
    kind = plugin(entry.protocol)
    found = next((each for each in find.endpoints(tx, node) if each.name == entry.interface), None)
    there = kind.to_entry(found.options) if found is not None and found.protocol == entry.protocol else {}
    try:
        options = kind.from_entry({**there, **entry.options})
    except MissingOption as error:
        raise InvalidInput(f"{node.name} {entry.interface} is new: {error.what}", _KEYS) from None
    if found is None:
        endpoints.create(tx, app, node, endpoints.NewEndpoint(entry.protocol, general, options))
        lines.append(f"add endpoint {node.name} {entry.interface} ({entry.protocol}, port {entry.port})")
        return True
    if found.protocol != entry.protocol:
        raise InvalidInput(
            f"{node.name} {entry.interface}: the protocol of an endpoint does not change", "add another endpoint"
        )
    new, _ = endpoints.revise(tx, app, node, found, {**general, **options})
    if new:
        lines.append(f"change endpoint {node.name} {entry.interface}: {', '.join(sorted(new))}")
    return bool(new)


def _user(tx: Tx, app: App, entry: UserEntry, lines: list[str]) -> list[str]:
    from vpnctl.actions.people import users

    inside = replace(app, store=_Joined(tx))  # type: ignore[arg-type]
    details = {
        "display_name": entry.display_name,
        "telegram_id": entry.telegram_id,
        "locale": entry.locale,
        "device_limit": entry.devices,
        "unlimited": entry.unlimited,
        "note": entry.note,
    }
    name = grammar.name(entry.name, "user name")
    row = tx.one(User, models.user.c.name == name, models.user.c.removed_at.is_(None))
    if row is None:
        users.add(inside, [name], **details)
        lines.append(f"add user {name}")
    else:
        new = {key: value for key, value in details.items() if value is not None and getattr(row, key) != value}
        if new:
            touched = users.change(inside, name, new).node_ids
            lines.append(f"change user {name}: {', '.join(sorted(new))}")
            if touched and entry.blocked is None:
                return list(touched)
    blocked = row is not None and row.blocked_at is not None
    if entry.blocked is not None and blocked != entry.blocked:
        lines.append(f"{'block' if entry.blocked else 'unblock'} user {name}")
        return list((users.block if entry.blocked else users.unblock)(inside, name).node_ids)
    return []


class _Joined:
    """Lets a verb take part in the transaction that is open already."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx

    def write(self) -> _Joined:
        return self

    def __enter__(self) -> Tx:
        return self._tx

    def __exit__(self, *_details: object) -> None:
        return None


def _unlisted(tx: Tx, inventory: Inventory) -> list[str]:
    listed = {entry.name for entry in inventory.nodes}
    there = [row.name for row in tx.all(Node, models.node.c.retired_at.is_(None), order=models.node.c.name)]
    return [f"node {name} is not in the file; it stays" for name in there if inventory.nodes and name not in listed]
