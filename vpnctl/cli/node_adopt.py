"""`vpnctl node adopt`: a server of WireGuard or AmneziaWG that somebody else set up becomes an endpoint of ours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vpnctl.cli import output
from vpnctl.cli.carry import Told, carry_out
from vpnctl.cli.completion import complete_nodes, complete_protocols
from vpnctl.cli.front import current
from vpnctl.cli.node_care import view_of
from vpnctl.rules.grammar import clean

if TYPE_CHECKING:
    from vpnctl.actions.outcome import Done, Settled
    from vpnctl.actions.people.adoption import Adopted
    from vpnctl.app import App


def adopt(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Node name.", autocompletion=complete_nodes)],
    interface: Annotated[
        str | None, typer.Option("--interface", help="What the server serves with; wg0 or awg0 unless told.")
    ] = None,
    protocol: Annotated[
        str, typer.Option("--protocol", help="What it speaks.", autocompletion=complete_protocols)
    ] = "wireguard",
    source: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", help="wg-easy's, AmneziaVPN's, Marzban's data, or its file."),
    ] = None,
    port: Annotated[
        int, typer.Option("--port", help="The port that clients dial, where wg0.json does not say it.")
    ] = 51820,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")] = False,
) -> int:
    """Take over a server of somebody else's as it is: WireGuard and AmneziaWG without a packet lost, Marzban's Xray.

    On a node with a 3x-ui panel, the clients of its inbounds become devices instead, with the links that they have.

    Each peer becomes a device of a person who is called as the comment above it says. Files are shown again where the
    private key is known (PiVPN's and wg-easy's data have it); else the device works on, and new keys are made when
    they are needed. Run again, it takes what was added since.
    """
    from vpnctl.actions.fleet.settle import Wish
    from vpnctl.actions.people import adoption, shared_clients
    from vpnctl.rules import grammar
    from vpnctl.rules.changes import SYSTEM

    front = current()
    if source is None and shared_clients.shared(front.app, name):
        found = shared_clients.read(front.app, name)

        def verb(app: App) -> Done[Adopted]:
            return shared_clients.adopt(app, name, found)
    else:
        link = grammar.interface(interface or adoption.usual_interface(protocol))
        if source is not None:
            server = adoption.from_file(source, port, protocol)
        else:
            server = adoption.read(front.app, name, link, protocol)

        def verb(app: App) -> Done[Adopted]:
            return adoption.adopt(app, name, link, server, protocol)

    def tell(done: Done[Adopted], _: Sequence[Settled]) -> Told:
        made = done.made
        _explain(made)
        what = (
            f"{name} {made.endpoint}: {output.count(len(made.peers), 'device')} adopted"
            if made.peers
            else (f"{name} {made.endpoint} is ours; nothing new was found")
        )
        rows: dict[str, Any] = {
            "peers": made.peers,
            "strangers": _rows(made),
            "hooks": made.hooks,
            "nodes": [view_of(name)],
        }
        return Told(what, rows, changed=made.new or bool(made.peers), saved=what)

    def foretell(done: Done[Adopted]) -> None:
        front.say(f"would be adopted: {', '.join(each.device for each in done.made.peers) or 'nobody'}")
        _explain(done.made)

    return carry_out(verb, tell, dry_run=dry_run, wish=Wish(scope=SYSTEM, always=True, prove=True), foretell=foretell)


def _rows(made: Adopted) -> list[dict[str, str]]:
    return [{"public_key": key, "why": why} for key, why in made.strangers]


def _explain(made: Adopted) -> None:
    """Say what stays otherwise than people might think."""
    front = current()
    unknown = [each.device for each in made.peers if not each.config]
    if unknown:
        front.say(
            f"note: the private keys of {output.count(len(unknown), 'device')} are not known here: they work on, and a"
        )
        front.say(f"    file can be made anew: vpnctl peer regen {unknown[0]}")
    for key, why in made.strangers:
        front.say(f"note: {key} stays a stranger: {why}")
    if made.lifted:
        front.say(f"note: limits that were set elsewhere end for {', '.join(made.lifted)}: give these people a plan")
    for line in made.hooks:
        front.say(f"note: kept: {clean(line)}")
