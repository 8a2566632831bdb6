"""`vpnctl endpoint …`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vpnctl.cli import endpoint_rotate, output
from vpnctl.cli.carry import Told, carry_out
from vpnctl.cli.completion import complete_interfaces, complete_nodes, complete_protocols
from vpnctl.cli.front import current

if TYPE_CHECKING:
    from vpnctl.actions.fleet.endpoints import Revised
    from vpnctl.actions.outcome import Done, Settled
    from vpnctl.app import App
    from vpnctl.store.rows import Endpoint

commands = typer.Typer(
    add_completion=False, rich_markup_mode=None, no_args_is_help=True, help="Protocols that a node serves."
)

Node = Annotated[str, typer.Argument(metavar="NODE", help="Node name.", autocompletion=complete_nodes)]
Interface = Annotated[str, typer.Argument(metavar="INTERFACE", help="Such as wg0.", autocompletion=complete_interfaces)]
Port = Annotated[int | None, typer.Option("--port", help="Port.")]
Dns = Annotated[
    str | None, typer.Option("--dns", metavar="ADDRESSES", help="Resolvers for clients, comma separated; '' for none.")
]
Mtu = Annotated[int | None, typer.Option("--mtu", help="MTU of server and clients.")]
AllowedIps = Annotated[
    str | None, typer.Option("--allowed-ips", metavar="NETWORKS", help="What clients send through the tunnel.")
]
Keepalive = Annotated[
    int | None, typer.Option("--keepalive", metavar="SECONDS", help="PersistentKeepalive of clients; 0 for none.")
]
Isolation = Annotated[
    bool | None, typer.Option("--isolation/--no-isolation", help="Whether clients are kept from each other.")
]
ForwardRule = Annotated[
    str | None,
    typer.Option(
        "--forward-rule", help="Which firewall of the host is told to let packets pass: none, docker, ufw, iptables."
    ),
]
Further = Annotated[
    list[str] | None,
    typer.Option(
        "--option", metavar="NAME=VALUE", help="A further option of the protocol (docs/protocols.md); may be repeated."
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")]


@commands.command("add")
def add(
    node: Node,
    protocol: Annotated[
        str, typer.Argument(metavar="PROTOCOL", help="Such as wireguard.", autocompletion=complete_protocols)
    ],
    interface: Annotated[
        str | None, typer.Option("--interface", help="Its name; the next free one unless told.")
    ] = None,
    port: Port = None,
    pool_v4: Annotated[str | None, typer.Option("--pool", metavar="NETWORK", help="IPv4 pool of the peers.")] = None,
    pool_v6: Annotated[str | None, typer.Option("--pool-v6", metavar="NETWORK", help="IPv6 pool, or none.")] = None,
    dns: Dns = None,
    mtu: Mtu = None,
    allowed_ips: AllowedIps = None,
    keepalive: Keepalive = None,
    isolation: Isolation = None,
    further: Further = None,
    dry_run: DryRun = False,
) -> int:
    """Serve one more protocol on a node."""
    from vpnctl.actions.fleet import endpoints

    options = {
        "interface": interface, "port": port, "pool_v4": pool_v4, "pool_v6": pool_v6, "dns": dns, "mtu": mtu,
        "allowed_ips": allowed_ips, "keepalive": keepalive, "isolation": isolation, **_named(further),
    }  # fmt: skip

    def tell(done: Done[Endpoint], _: Sequence[Settled]) -> Told:
        row = done.made
        return Told(f"{node} serves {protocol} on {row.name}, port {row.port}", _rows(done, row.name))

    return carry_out(lambda app: endpoints.add(app, node, protocol, options), tell, dry_run=dry_run, wish=_wish())


_OWN = {
    "interface": "--interface", "protocol": "vpnctl endpoint add NODE PROTOCOL", "port": "--port", "pool_v4": "--pool",
    "pool_v6": "--pool-v6", "dns": "--dns", "mtu": "--mtu", "allowed_ips": "--allowed-ips", "keepalive": "--keepalive",
    "isolation": "--isolation, --no-isolation", "forward_rule": "--forward-rule",
}  # fmt: skip


def _named(further: list[str] | None) -> dict[str, str]:
    """Return options given as NAME=VALUE; InvalidInput for what has a flag."""
    from vpnctl.cli.pairs import named_options
    from vpnctl.errors import InvalidInput

    found = named_options(further)
    for name in found:
        if name in _OWN:
            raise InvalidInput(f"{name} has an option of its own", _OWN[name])
    return found


def _wish() -> Any:
    """Endpoints are the system's side of a node; what was changed is proven by packets."""
    from vpnctl.actions.fleet.settle import Wish
    from vpnctl.rules.changes import SYSTEM

    return Wish(scope=SYSTEM, always=True, prove=True)


def _rows(done: Done[Any], interface: str) -> dict[str, Any]:
    from vpnctl.reports import fleet

    with current().app.store.read() as tx:
        return {"endpoints": [row for row in fleet.endpoints(tx, done.node_ids[0]) if row.interface == interface]}


@commands.command("list")
def list_(
    node: Annotated[
        str | None, typer.Argument(metavar="[NODE]", help="Only of this node.", autocompletion=complete_nodes)
    ] = None,
) -> int:
    """List endpoints."""
    from vpnctl.reports import fleet
    from vpnctl.store import find

    front = current()
    with front.app.store.read() as tx:
        rows = fleet.endpoints(tx, find.node(tx, node).id if node else None)
    return output.show_list(
        front, rows, ("node", "interface", "protocol", "port", "pool_v4", "pool_v6", "peers", "proven_at")
    )


@commands.command("show")
def show(node: Node, interface: Interface) -> int:
    """Show one endpoint."""
    from vpnctl.reports import fleet
    from vpnctl.store import find

    front = current()
    with front.app.store.read() as tx:
        row = find.endpoint(tx, find.node(tx, node), interface)
        view = next(each for each in fleet.endpoints(tx, row.node_id) if each.interface == interface)
    return output.show_one(front, view)


@commands.command("set")
def set_(
    node: Node,
    interface: Interface,
    port: Port = None,
    dns: Dns = None,
    mtu: Mtu = None,
    allowed_ips: AllowedIps = None,
    keepalive: Keepalive = None,
    isolation: Isolation = None,
    forward_rule: ForwardRule = None,
    further: Further = None,
    dry_run: DryRun = False,
) -> int:
    """Change an endpoint. What stands in clients' files is only changed with --yes or an answer."""
    from vpnctl.actions.fleet import endpoints

    options = {
        "port": port,
        "dns": dns,
        "mtu": mtu,
        "allowed_ips": allowed_ips,
        "keepalive": keepalive,
        "isolation": isolation,
        "forward_rule": forward_rule,
        **_named(further),
    }
    if not dry_run:
        _ask(node, interface, options)

    def tell(done: Done[Revised], _: Sequence[Settled]) -> Told:
        if done.made.devices:
            current().say("these devices need a new file (vpnctl peer config …): " + ", ".join(done.made.devices))
        new = done.made.options
        what = f"changed {node} {interface}: {', '.join(new)}" if new else f"{node} {interface}: nothing to change"
        return Told(what, _rows(done, interface), changed=bool(new))

    def foretell(would: Done[Revised]) -> None:
        if would.made.devices:
            current().say("these devices would need a new file: " + ", ".join(would.made.devices))

    def change(app: App) -> Done[Revised]:
        return endpoints.change(app, node, interface, options)

    return carry_out(change, tell, dry_run=dry_run, wish=_wish(), foretell=foretell)


@commands.command("upgrade")
def upgrade(node: Node, interface: Interface, dry_run: DryRun = False) -> int:
    """Serve the newest generation of a protocol beside an endpoint of an older one; people are moved afterwards."""
    from vpnctl.actions.fleet import successors

    def tell(done: Done[Endpoint], _: Sequence[Settled]) -> Told:
        row = done.made
        what = (
            f"{node} serves {row.protocol} on {row.name}, port {row.port}, beside {interface}. Move people over:\n"
            f"    vpnctl user migrate NAME --from {node} --to {node} --endpoint {row.name}\n"
            f"and when {interface} is empty:\n"
            f"    vpnctl endpoint remove {node} {interface}"
        )
        return Told(what, _rows(done, row.name), saved=f"{node} {row.name}, port {row.port}, is saved")

    return carry_out(lambda app: successors.upgrade(app, node, interface), tell, dry_run=dry_run, wish=_wish())


rotate = commands.command("rotate")(endpoint_rotate.rotate)


def _ask(node: str, interface: str, options: dict[str, Any]) -> None:
    from vpnctl.actions.fleet import endpoints
    from vpnctl.store import find

    front = current()
    with front.app.store.read() as tx:
        devices = endpoints.cut_off_by(tx, find.endpoint(tx, find.node(tx, node), interface), options)
    if devices:
        front.confirm(f"{output.count(len(devices), 'device')} will be cut off until they get a new file. Go on?")


@commands.command("remove")
def remove(
    node: Node,
    interface: Interface,
    revoke_peers: Annotated[bool, typer.Option("--revoke-peers", help="Revoke the peers that live on it.")] = False,
    dry_run: DryRun = False,
) -> int:
    """Stop serving a protocol and remove its files from the node."""
    from vpnctl.actions.fleet import endpoints

    if not dry_run:
        current().confirm(f"Remove {interface} from {node}?")

    def tell(done: Done[Endpoint], _: Sequence[Settled]) -> Told:
        return Told(f"removed {interface} from {node}", _rows(done, interface))

    return carry_out(
        lambda app: endpoints.remove(app, node, interface, revoke=revoke_peers), tell, dry_run=dry_run, wish=_wish()
    )
