"""`vpnctl node …`."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from vpnctl.cli import node_adopt, node_care, node_moving, node_rebuild, node_update, output, panels
from vpnctl.cli.completion import complete_nodes, complete_protocols
from vpnctl.cli.first_login import Agent, Fingerprint, Identity, KnownHosts, Password, ask_host_key, means_of, text_of
from vpnctl.cli.front import current
from vpnctl.cli.node_care import view_of

commands = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Servers: add, provision, check, sync, retire.",
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Node name.", autocompletion=complete_nodes)]
PublicHost = Annotated[
    str | None,
    typer.Option("--public-host", metavar="HOST", help="What clients dial; a DNS name survives a lost server."),
]
Region = Annotated[str | None, typer.Option("--region", help="Free text, such as Helsinki.")]
Capacity = Annotated[int | None, typer.Option("--capacity", metavar="PEERS", help="How many peers it is meant for.")]
RentDue = Annotated[str | None, typer.Option("--rent-due", metavar="YYYY-MM-DD", help="When the server's rent is due.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")]

TrafficLimit = Annotated[
    str | None,
    typer.Option("--traffic-limit", metavar="SIZE", help="Traffic a month that the provider lets pass, such as 20 TB."),
]
COLUMNS = (
    "name", "state", "health", "peers", "online", "packets", "capacity", "full_on", "packets_at", "address",
    "protocols", "region", "seen_at",
)  # fmt: skip


@commands.command("add")
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="How you will call it.")],
    target: Annotated[
        str | None, typer.Argument(metavar="[USER@]HOST[:PORT]", help="Where to log in; user root unless told.")
    ] = None,
    local: Annotated[bool, typer.Option("--local", help="The machine itself, without SSH.")] = False,
    host_key_fp: Fingerprint = None,
    known_hosts: KnownHosts = None,
    identity: Identity = None,
    password_stdin: Password = False,
    agent: Agent = False,
    jump: Annotated[
        str | None,
        typer.Option("--jump", metavar="NODE", help="Reach it through this node.", autocompletion=complete_nodes),
    ] = None,
    public_host: PublicHost = None,
    region: Region = None,
    capacity: Capacity = None,
    traffic_limit: TrafficLimit = None,
    rent_due: RentDue = None,
    provision: Annotated[bool, typer.Option("--provision", help="Go on with `node provision`.")] = False,
) -> int:
    """Get in, pin the host key, install our SSH key, and record the server."""
    from vpnctl.actions.fleet import nodes
    from vpnctl.errors import InvalidInput

    front = current()
    if local == (target is not None):
        raise InvalidInput("name a server to log in at, or give --local", "vpnctl node add NAME root@HOST")
    means = means_of(identity, password_stdin, agent)
    details = {
        "public_host": public_host,
        "region": region,
        "capacity": capacity,
        "traffic_limit": traffic_limit,
        "rent_due": rent_due,
    }
    new = nodes.NewNode(name, target, host_key_fp, text_of(known_hosts), jump, means, details)
    row = nodes.add(front.app, new, ask_host_key)
    if not provision:
        what = f"added {row.name}; next: vpnctl node provision {row.name}"
        return output.finish(front, [], what, nodes=[view_of(row.name)])
    front.say(f"added {row.name}, provisioning it")
    return _provision(row.name, None, "none", dry_run=False)


@commands.command("key")
def key() -> int:
    """Print our public SSH key, to be put into a server's authorized_keys by hand."""
    from vpnctl.actions.fleet import nodes

    sys.stdout.write(nodes.public_line(current().app) + "\n")
    return 0


@commands.command("list")
def list_(retired: Annotated[bool, typer.Option("--retired", help="Retired ones too.")] = False) -> int:
    """List nodes with their observed state."""
    from vpnctl.reports import fleet

    front = current()
    with front.app.store.read() as tx:
        rows = fleet.nodes(tx, front.app.clock(), retired=retired)
    if not rows:
        front.say("no nodes yet; vpnctl node add NAME [USER@]HOST --provision")
    return output.show_list(front, rows, COLUMNS)


@commands.command("show")
def show(name: Name) -> int:
    """Show one node, its endpoints and its aliens."""
    from vpnctl.reports import fleet
    from vpnctl.store import find, models
    from vpnctl.store.rows import Alien

    front = current()
    with front.app.store.read() as tx:
        row = find.node(tx, name)
        endpoints = fleet.endpoints(tx, row.id)
        ids = [endpoint.id for endpoint in find.endpoints(tx, row)]
        aliens = tx.all(Alien, models.alien.c.endpoint_id.in_(ids), models.alien.c.pruned_at.is_(None))
    shown = [
        {"public_key": each.identity, "allowed_ips": each.allowed_ips, "first_seen_at": each.first_seen_at}
        for each in aliens
    ]
    output.show_one(front, view_of(name), endpoints=endpoints, aliens=shown)
    if not front.json:
        sys.stdout.write("\n")
        output.show_list(
            front, endpoints, ("interface", "protocol", "port", "pool_v4", "pool_v6", "peers", "proven_at")
        )
        for alien in aliens:
            sys.stdout.write(f"alien {alien.identity} {alien.allowed_ips}\n")
    return 0


@commands.command("set")
def set_(
    name: Name,
    public_host: PublicHost = None,
    target: Annotated[
        str | None, typer.Option("--target", metavar="[USER@]HOST[:PORT]", help="Where we log in from now on.")
    ] = None,
    region: Region = None,
    capacity: Capacity = None,
    traffic_limit: TrafficLimit = None,
    traffic_action: Annotated[
        str | None, typer.Option("--traffic-action", help="What follows when it is used up: warn, close, stop.")
    ] = None,
    rent_due: RentDue = None,
    protocol: Annotated[
        str | None,
        typer.Option(
            "--protocol",
            help="What new devices get there unless told; none: the first one served.",
            autocompletion=complete_protocols,
        ),
    ] = None,
) -> int:
    """Change details of a node."""
    from vpnctl.actions.fleet import nodes
    from vpnctl.rules import grammar

    front = current()
    before = view_of(name)
    details: dict[str, Any] = {
        "public_host": public_host,
        "region": region,
        "capacity": capacity,
        "traffic_limit": traffic_limit,
        "traffic_action": traffic_action,
        "rent_due": rent_due,
        "protocol": protocol,
    }
    if target is not None:
        where = grammar.target(target)
        details |= {"host": where.host, "port": where.port, "login": where.login}
    row = nodes.change(front.app, name, details)
    if public_host and before.public_host != row.public_host and before.peers:
        front.say(
            f"note: {output.count(before.peers, 'device')} dialled {before.public_host} so far; who needs a new file: "
            f"vpnctl peer list --stale --node {name}"
        )
    return output.finish(front, [], f"changed {name}", nodes=[view_of(name)])


@commands.command("provision")
def provision(
    name: Name,
    protocol: Annotated[
        list[str] | None,
        typer.Option(
            "--protocol", help="Protocols to serve; wireguard unless told.", autocompletion=complete_protocols
        ),
    ] = None,
    forward_rule: Annotated[
        str, typer.Option("--forward-rule", help="What to do about Docker's or ufw's FORWARD policy: auto, none.")
    ] = "auto",
    inbound: Annotated[
        list[int] | None, typer.Option("--inbound", metavar="NUMBER", help="Which ones of its 3x-ui panel; all.")
    ] = None,
    dry_run: DryRun = False,
) -> int:
    """Turn a bare server into a serving node; run again, it changes nothing."""
    return _provision(name, protocol, forward_rule, inbound or [], dry_run=dry_run)


def _provision(
    name: str, protocols: list[str] | None, forward_rule: str, inbounds: list[int] | None = None, *, dry_run: bool
) -> int:
    from vpnctl.actions.fleet import provision as work
    from vpnctl.rules import grammar

    front = current()
    grammar.forward_rule(forward_rule)
    if dry_run:
        return output.show_preview(front, work.preview(front.app, name, protocols or [], inbounds or []))

    def ask(question: str) -> bool:
        front.confirm(question, "--forward-rule none to leave it, or --yes")
        return True

    rule = ask if forward_rule != "none" else None
    result = work.provision(front.app, name, protocols or [], rule, inbounds or [])
    for note in result.notes:
        front.say(note)
    return output.finish(
        front,
        [result.settled],
        f"{name} serves: seen to agree with the database" + (", packets pass" if view_of(name).packets == "ok" else ""),
        changed=bool(result.settled.changes),
        nodes=[view_of(name)],
    )


sync = commands.command("sync")(node_care.sync)
check = commands.command("check")(node_care.check)
measure = commands.command("measure")(node_care.measure)
panel = commands.command("panel")(panels.panel)
retire = commands.command("retire")(node_care.retire)
rebuild = commands.command("rebuild")(node_rebuild.rebuild)
adopt = commands.command("adopt")(node_adopt.adopt)
update = commands.command("update")(node_update.update)
drain = commands.command("drain")(node_moving.drain)
evacuate = commands.command("evacuate")(node_moving.evacuate)
rebalance = commands.command("rebalance")(node_moving.rebalance)


@commands.command("trust")
def trust(
    name: Name,
    host_key_fp: Fingerprint = None,
    known_hosts: KnownHosts = None,
    identity: Identity = None,
    password_stdin: Password = False,
    agent: Agent = False,
    token: Annotated[
        str | None, typer.Option("--token", help="Accept this foreign token: the other controller is gone for good.")
    ] = None,
) -> int:
    """Pin the host key that a reinstalled server shows now."""
    from vpnctl.actions.fleet import nodes

    front = current()
    new = nodes.NewNode(name, None, host_key_fp, text_of(known_hosts), None, means_of(identity, password_stdin, agent))
    if token is not None:
        front.confirm(f"Is this database the only one that drives {name} from now on?")
    nodes.trust(front.app, name, new, ask_host_key, token)
    return output.finish(front, [], f"{name} is trusted; next: vpnctl node sync {name}", nodes=[view_of(name)])
