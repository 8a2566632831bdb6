"""The form of an inventory file: what may stand in it, with file and line of what may not, and YAML out."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vpnctl.app import App
from vpnctl.errors import InvalidInput
from vpnctl.protocols import plugin
from vpnctl.protocols.interface import BadOption, MissingOption
from vpnctl.rules import grammar, sizes, yamldoc
from vpnctl.store import find, models
from vpnctl.store.engine import Tx
from vpnctl.store.rows import HTTPS, Endpoint, Node, Plan, User


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class EndpointEntry(BaseModel):
    """One endpoint of a node. What else stands there are the options of its protocol, whose plug-in checks them."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)

    protocol: str
    interface: str
    port: int
    forward_rule: str | None = None

    @property
    def options(self) -> dict[str, Any]:
        """What is left to the protocol, as it stands in the file."""
        return dict(self.model_extra or {})


class NodeEntry(_Strict):
    """One server."""

    name: str
    host: str | None = None
    local: bool = False
    panel: str | None = None
    """Where the panel answers that is all of it that is reached."""
    host_key: str = ""
    jump: str | None = None
    public_host: str | None = None
    region: str | None = None
    capacity: int | None = None
    rent_due: str | None = None
    traffic_limit: int | str | None = None
    traffic_action: str | None = None
    protocol: str | None = None
    endpoints: list[EndpointEntry] = Field(default_factory=list)


class UserEntry(_Strict):
    """One person."""

    name: str
    display_name: str | None = None
    telegram_id: int | None = None
    locale: str | None = None
    devices: int | None = None
    unlimited: bool | None = None
    blocked: bool | None = None
    note: str | None = None


class PlanEntry(_Strict):
    """One tariff. Traffic is a text such as `100 GiB` for each day, week, month or 30 days; prices are minor units."""

    name: str
    title: str = ""
    titles: dict[str, str] = Field(default_factory=dict)
    days: int
    devices: int | None = None
    traffic: int | str | None = None
    traffic_period: str = "month"
    node_traffic: int | str | None = None
    locations: list[str] = Field(default_factory=list)
    protocol: str | None = None
    prices: dict[str, int] = Field(default_factory=dict)
    trial: bool = False
    on_sale: bool = True


class Inventory(_Strict):
    """A whole file."""

    nodes: list[NodeEntry] = Field(default_factory=list)
    users: list[UserEntry] = Field(default_factory=list)
    plans: list[PlanEntry] = Field(default_factory=list)


def parse(text: str, name: str) -> tuple[Inventory, yamldoc.Document]:
    """Return the inventory in `text`. Raises InvalidInput with file, line, and what was expected."""
    document = yamldoc.load(text, name)
    try:
        inventory = Inventory.model_validate(document.data or {})
        _check_options(inventory, document)
        return inventory, document
    except ValidationError as error:
        problems = []
        for each in error.errors()[:5]:
            path = tuple(each["loc"])
            label = ".".join(str(part) for part in path)
            message = (
                "unknown key"
                if each["type"] == "extra_forbidden"
                else each["msg"].lower().replace("input should be", "expected")
            )
            problems.append(f"{document.where(path)}: {grammar.clean(label)}: {message}")
        raise InvalidInput("; ".join(problems), "inventory/README.md describes every key") from None


def _check_options(inventory: Inventory, document: yamldoc.Document) -> None:
    """Raise InvalidInput, with file and line, for an option that its protocol does not have or take."""
    for number, node in enumerate(inventory.nodes):
        for index, entry in enumerate(node.endpoints):
            path = ("nodes", number, "endpoints", index)
            try:
                plugin(entry.protocol).from_entry(entry.options)
            except MissingOption:
                continue  # an endpoint that is there has it; of a new one it is said when it is to be added
            except BadOption as error:
                where, label = document.where((*path, error.option)), ".".join(map(str, (*path, error.option)))
                hint = "inventory/README.md describes every key"
                raise InvalidInput(f"{where}: {grammar.clean(label)}: {error.why}", hint) from None
            except InvalidInput as error:
                raise InvalidInput(f"{document.where(path)}: {error.what}", error.hint) from None


def export(app: App, *, users: bool = False) -> str:
    """Return the inventory as YAML: nodes and endpoints without keys, plans, and people if asked for."""
    import yaml

    with app.store.read() as tx:
        rows = tx.all(Node, models.node.c.retired_at.is_(None), order=models.node.c.created_at)
        names = {row.id: row.name for row in rows}
        body: dict[str, Any] = {"nodes": [_node_entry(tx, row, names) for row in rows]}
        if users:
            people = tx.all(User, models.user.c.removed_at.is_(None), order=models.user.c.name)
            body["users"] = [_user_entry(row) for row in people]
        tariffs = tx.all(Plan, order=models.plan.c.created_at)
        if tariffs:
            body["plans"] = [_plan_entry(row) for row in tariffs]
    return yaml.safe_dump(body, sort_keys=False, allow_unicode=True, width=1000)


def _node_entry(tx: Tx, row: Node, names: dict[str, str]) -> dict[str, Any]:
    host = f"[{row.host}]" if ":" in row.host else row.host
    where: dict[str, Any] = {"host": f"{row.login}@{host}:{row.port}", "host_key": row.host_key}
    if row.kind in (HTTPS, "local"):
        where = {"panel": row.panel_url} if row.kind == HTTPS else {"local": True}
    entry = {
        "name": row.name,
        **where,
        "jump": names.get(row.jump_id or ""),
        "public_host": row.public_host,
        "region": row.region,
        "capacity": row.capacity,
        "rent_due": row.rent_due.isoformat() if row.rent_due else None,
        "traffic_limit": _amount(row.traffic_limit),
        "traffic_action": row.traffic_action if row.traffic_action != "warn" else None,
        "protocol": row.protocol or None,
        "endpoints": [_endpoint_entry(each) for each in find.endpoints(tx, row)],
    }
    return {key: value for key, value in entry.items() if value not in (None, "")}


def _amount(number: int | None) -> str | None:
    return sizes.written_size(number) if number is not None else None


def _endpoint_entry(row: Endpoint) -> dict[str, Any]:
    entry = {"protocol": row.protocol, "interface": row.name, "port": row.port}
    return entry | plugin(row.protocol).to_entry(row.options) | {"forward_rule": row.forward_rule}


def _plan_entry(row: Plan) -> dict[str, Any]:
    entry = {name: getattr(row, name) for name in PlanEntry.model_fields}
    entry |= {name: _amount(getattr(row, name)) for name in ("traffic", "node_traffic")}
    return {key: value for key, value in entry.items() if value not in (None, "", [], {})}


def _user_entry(row: User) -> dict[str, Any]:
    entry = {
        "name": row.name,
        "display_name": row.display_name,
        "telegram_id": row.telegram_id,
        "locale": row.locale,
        "devices": row.device_limit,
        "unlimited": row.unlimited,
        "blocked": row.blocked_at is not None,
        "note": row.note,
    }
    return {key: value for key, value in entry.items() if value not in (None, "")}
