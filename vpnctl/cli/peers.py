"""`vpnctl peer …`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from vpnctl.cli import output, peer_access
from vpnctl.cli.carry import rehearsed
from vpnctl.cli.completion import complete_interfaces, complete_nodes, complete_protocols, complete_users
from vpnctl.cli.deliver import give, refuse_existing
from vpnctl.cli.front import current
from vpnctl.cli.peer_access import DryRun, Ref, by_id
from vpnctl.rules.grammar import clean

commands = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Devices: add, hand out, regenerate, suspend, revoke.",
)

Out = Annotated[
    Path | None, typer.Option("--out", metavar="FILE", help="Write the config there (a folder: under its own name).")
]
Qr = Annotated[bool, typer.Option("--qr", help="Show a QR code instead of the text.")]
Png = Annotated[Path | None, typer.Option("--png", metavar="FILE", help="Write the QR code as a picture.")]
Steps = Annotated[bool, typer.Option("--steps", help="Print what to do with the file, per platform.")]
PublicKey = Annotated[
    str | None,
    typer.Option("--public-key", metavar="KEY", help="The user's own public key; we never see the private one."),
]
Own = Annotated[
    list[str] | None,
    typer.Option(
        "--option",
        metavar="NAME=VALUE",
        help="An option of its endpoint, otherwise in this device's config (docs/protocols.md); may be repeated.",
    ),
]
COLUMNS = ("user", "device", "node", "state", "online", "handshake_at", "received", "sent", "ipv4", "protocol")


@commands.command("add")
def add(
    users: Annotated[
        list[str] | None, typer.Argument(metavar="USER...", help="For whom.", autocompletion=complete_users)
    ] = None,
    source: Annotated[
        Path | None, typer.Option("--from", metavar="FILE", help="USER or USER/DEVICE, one a line; - for stdin.")
    ] = None,
    node: Annotated[
        str | None,
        typer.Option(
            "--node", help="On which node; the one with most room unless told.", autocompletion=complete_nodes
        ),
    ] = None,
    device: Annotated[str, typer.Option("--device", help="What the device is called.")] = "main",
    protocol: Annotated[
        str | None,
        typer.Option(
            "--protocol",
            help="That of the plan, else of the node, unless told.",
            autocompletion=complete_protocols,
        ),
    ] = None,
    endpoint: Annotated[
        str | None,
        typer.Option("--endpoint", metavar="NAME", help="Which one on the node.", autocompletion=complete_interfaces),
    ] = None,
    public_key: PublicKey = None,
    option: Own = None,
    out: Out = None,
    qr: Qr = False,
    png: Png = None,
    steps: Steps = False,
    dry_run: DryRun = False,
) -> int:
    """Give people a device: keys, an address, a config on stdout. Exit 3 when the node has not got it yet."""
    from vpnctl.actions.outcome import Done
    from vpnctl.actions.people import peers
    from vpnctl.actions.people.issue import Wanted
    from vpnctl.cli.lines import read_lines
    from vpnctl.cli.pairs import named_options
    from vpnctl.errors import InvalidInput
    from vpnctl.rules import grammar
    from vpnctl.texts import handout

    named = [*(users or []), *read_lines(source)]
    if not named:
        raise InvalidInput("for whom?", "vpnctl peer add USER")
    if public_key and len(named) > 1:
        raise InvalidInput("a public key belongs to one device", "add them one by one")
    refs = [grammar.peer_ref(text) for text in named]
    wanted = [
        Wanted(ref.user, ref.device or device, ref.node or node, protocol, public_key, endpoint, named_options(option))
        for ref in refs
    ]
    front = current()
    if dry_run:
        return rehearsed(lambda trial: Done(made := peers.add(trial, wanted), [each.node.id for each in made]))
    refuse_existing(out, png, protocol or handout.usual(), [(each.user, each.device) for each in wanted])
    issued = peers.add(front.app, wanted)
    return give(issued, "added", {"out": out, "qr": qr, "png": png, "steps": steps})


@commands.command("list")
def list_(
    user: Annotated[
        str | None, typer.Option("--user", help="Only of this person.", autocompletion=complete_users)
    ] = None,
    node: Annotated[
        str | None, typer.Option("--node", help="Only on this node.", autocompletion=complete_nodes)
    ] = None,
    revoked: Annotated[bool, typer.Option("--revoked", help="Revoked ones too.")] = False,
    live: Annotated[bool, typer.Option("--live", help="Settle the nodes first, and so read them.")] = False,
    pending: Annotated[bool, typer.Option("--pending", help="Only those not seen as they should be.")] = False,
    orphaned: Annotated[
        bool, typer.Option("--orphaned", help="Only those whose person has no subscription and is not unlimited.")
    ] = False,
    stale: Annotated[
        bool, typer.Option("--stale", help="Only those whose file is from before a change of port, name or the like.")
    ] = False,
    limit: Annotated[int, typer.Option("--limit", min=0, max=1_000_000, help="At most this many; 0 for all.")] = 200,
) -> int:
    """List devices: the state that was observed, who is online, traffic."""
    from vpnctl.actions.fleet.settle import Wish, settle
    from vpnctl.errors import worst
    from vpnctl.reports import devices
    from vpnctl.store import find, models, queue

    front = current()
    where: list[Any] = [queue.unproven(front.app.clock())] if pending else []
    where += [queue.orphaned()] if orphaned else []
    where += [queue.stale()] if stale else []
    with front.app.store.read() as tx:
        where += [models.peer.c.user_id == find.user(tx, user).id] if user else []
        where += [models.endpoint.c.node_id == find.node(tx, node).id] if node else []
        nodes = find.nodes(tx, [node] if node else [])
    settled = settle(front.app, [each.id for each in nodes], Wish(always=True)) if live else []
    with front.app.store.read() as tx:
        rows = devices.peers(tx, front.app.clock(), *where, revoked=revoked, limit=limit + 1 if limit else 0)
    if not rows:
        front.say(
            "none of these; all: vpnctl peer list"
            if where or revoked
            else "no peers; vpnctl user add NAME, then: vpnctl peer add NAME"
        )
    unread = {each.node for each in settled if each.code}
    rows = [replace(row, online=None) if row.node in unread else row for row in rows]
    output.show_list(front, rows[:limit] if limit else rows, COLUMNS)
    if rows and not live and not front.json:
        _as_of(node)
    if limit and len(rows) > limit and not front.json:
        front.say("there are more: --limit 0")
    for each in settled:
        if each.error:
            front.say(f"warning: {clean(each.error)}")
    return worst(each.code for each in settled)


def _as_of(node: str | None) -> None:
    """Say how old the figures are: of the node that was read longest ago."""
    from vpnctl.reports import fleet

    front = current()
    with front.app.store.read() as tx:
        seen = [row.seen_at for row in fleet.nodes(tx, front.app.clock(), name=node, planned=False)]
    known = [each for each in seen if each is not None]
    oldest = f"{min(known).astimezone(front.settings.zone):%Y-%m-%d %H:%M}" if known else "never"
    front.say(f"who is online and traffic as of {oldest}, when nodes were read last; --live reads them now")


@commands.command("show")
def show(peer: Ref) -> int:
    """Show one device."""
    return output.show_one(current(), _view(peer))


def _view(text: str) -> Any:
    from vpnctl.reports import devices
    from vpnctl.store import find, models

    front = current()
    with front.app.store.read() as tx:
        _, row = find.peer(tx, text)
        return devices.peers(tx, front.app.clock(), models.peer.c.id == row.id)[0]


@commands.command("set")
def set_(
    peer: Ref,
    device: Annotated[str | None, typer.Option("--device", metavar="NEW", help="A new name for the device.")] = None,
    option: Own = None,
    unset: Annotated[
        list[str] | None,
        typer.Option("--unset", metavar="NAME", help="Take an option of its own back; may be repeated."),
    ] = None,
) -> int:
    """Rename a device, or give its config options of its own; then hand the config out again."""
    from vpnctl.actions.people import peers
    from vpnctl.cli.pairs import changed_options
    from vpnctl.errors import InvalidInput

    front = current()
    given = changed_options(option, unset)
    if device is None and not given:
        raise InvalidInput("change what?", "--device NEW, --option NAME=VALUE, or --unset NAME")
    changed = peers.change(front.app, peer, device, given)
    name = f"{changed.user.name}/{changed.peer.device}"
    code = output.finish(front, [], f"changed: {name}", peers=[by_id(changed.peer.id)])
    if given and not front.json:
        front.say(f"what it was given before works as before; for the new one: vpnctl peer config {name}")
    return code


@commands.command("config")
def config(
    peer: Ref,
    out: Out = None,
    qr: Qr = False,
    png: Png = None,
    steps: Steps = False,
    link: Annotated[
        bool, typer.Option("--link", help="The link that an app imports, such as vless:// or vpn://.")
    ] = False,
    form: Annotated[
        str | None, typer.Option("--form", metavar="NAME", help="Another form: vpn, link, vmess, json.")
    ] = None,
) -> int:
    """Hand out a config again: the one place that reveals a stored private key."""
    from vpnctl.actions.people import peers
    from vpnctl.cli.deliver import hand_over
    from vpnctl.errors import InvalidInput

    front = current()
    if link and (out is not None or steps or form):
        raise InvalidInput("a link is pasted into the app: there is no file of it", "leave --out, --steps, --form out")
    issued = peers.reveal(front.app, peer)
    refuse_existing(out, png, issued.endpoint.protocol, [(issued.user.name, issued.peer.device)])
    rows = hand_over(front, [issued], out=out, qr=qr, png=png, steps=steps, form="" if link else form)
    view = by_id(issued.peer.id)
    if front.json:
        output.dump({**rows[0], "state": view.state})
    if view.state == "active" or view.state.startswith("active,"):
        return 0
    output.warn(f"{peer} is {view.state}: it does not work now")
    return 3 if view.state == "pending" else 0


@commands.command("verify")
def verify(peer: Ref) -> int:
    """Find out whether a device can connect: read the node, and shake hands with it as a client does.

    Exit 0 when all is as it should be, 4 when the node differs, 10 when it does not answer.
    """
    from vpnctl.actions.fleet.verify import verify as work

    front = current()
    found = work(front.app, peer)
    if front.json:
        return output.show_one(front, found) or found.code
    output.show_one(front, found, without=("code", "advice"))
    if found.advice:
        front.say(f"hint: {clean(found.advice)}")
    return found.code


@commands.command("regen")
def regen(
    peer: Ref,
    public_key: PublicKey = None,
    overlap: Annotated[
        bool, typer.Option("--overlap", help="Keep the old key until the new one's first handshake.")
    ] = False,
    out: Out = None,
    qr: Qr = False,
    png: Png = None,
    steps: Steps = False,
    dry_run: DryRun = False,
) -> int:
    """Give a device new keys; the old key is cut at once, in one atomic change."""
    from vpnctl.actions.people import peers

    front = current()
    if dry_run:
        return rehearsed(lambda trial: peers.regen(trial, peer, public_key=public_key, overlap=overlap))
    view = _view(peer)
    refuse_existing(out, png, view.protocol, [(view.user, view.device)])
    issued = peers.regen(front.app, peer, public_key=public_key, overlap=overlap)
    return give([issued], "regenerated", {"out": out, "qr": qr, "png": png, "steps": steps})


suspend = commands.command("suspend")(peer_access.suspend)
resume = commands.command("resume")(peer_access.resume)
revoke = commands.command("revoke")(peer_access.revoke)
