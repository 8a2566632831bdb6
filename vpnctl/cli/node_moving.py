"""`vpnctl node drain`, `evacuate`, `rebalance`: many people move, in waves that stop where something goes wrong."""

from __future__ import annotations

from typing import Annotated

import typer

from vpnctl.cli import output
from vpnctl.cli.completion import complete_nodes
from vpnctl.cli.front import current
from vpnctl.cli.node_care import view_of
from vpnctl.cli.waves import Out, Untested, Wave, ask, move_all, preview

Name = Annotated[str, typer.Argument(metavar="NAME", help="Node name.", autocompletion=complete_nodes)]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show who would move where.")]


def drain(name: Name, off: Annotated[bool, typer.Option("--off", help="Let it get new devices again.")] = False) -> int:
    """Let a node get no new devices. Whoever is there stays: `node evacuate` moves them."""
    from vpnctl.actions.people import evacuation

    front = current()
    evacuation.drain(front.app, name, draining=not off)
    what = f"{name} gets new devices again" if off else f"{name} gets no new devices; {_there(name)}"
    return output.finish(front, [], what, nodes=[view_of(name)])


def _there(name: str) -> str:
    view = view_of(name)
    return (
        f"{output.count(view.peers, 'device')} stay: vpnctl node evacuate {name} --to NODE"
        if view.peers
        else "it is empty"
    )


def evacuate(
    name: Name,
    to: Annotated[
        str,
        typer.Option("--to", metavar="NODE,NODE", help="Where to, by free capacity.", autocompletion=complete_nodes),
    ] = "",
    out: Out = None,
    wave: Wave = 0,
    untested: Untested = False,
    dry_run: DryRun = False,
) -> int:
    """Move everybody off a node: the new peers work before the old ones end, and the node gets no new devices.

    Everybody is checked first, then they move in waves. Where a target does not serve, it stops, and those who have
    not moved are where they were. The bot sends the new files to those it knows; --out DIR has them all. Run again it
    goes on.
    """
    from vpnctl.actions.people import evacuation, residents
    from vpnctl.errors import InvalidInput

    front = current()
    targets = [each.strip() for each in to.split(",") if each.strip()]
    if not targets:
        raise InvalidInput("where to?", "--to NODE, or several with commas between them")
    plan = evacuation.evacuation(front.app, name, targets, untested=untested)
    if dry_run:
        return preview(plan)
    if plan.moves:
        ask(plan, f"from {name}", out)
        evacuation.drain(front.app, name)
    code = move_all(plan, wave, out, untested=untested, empty=f"nobody is left to move from {name}")
    with front.app.store.read() as tx:
        waiting = residents.not_heard_of(tx, name)
    if waiting:
        front.say(f"{output.count(waiting, 'device')} did not connect anew yet: vpnctl peer list --node {name}")
    return code


def rebalance(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="Among these; all when none is named.", autocompletion=complete_nodes),
    ] = None,
    out: Out = None,
    wave: Wave = 0,
    untested: Untested = False,
    dry_run: DryRun = False,
) -> int:
    """Move people from full nodes to emptier ones, until each has its share of devices.

    Shares follow the capacities where every node has one; else they are equal. Those go whose devices were not heard
    of for longest.
    """
    from vpnctl.actions.people import evacuation

    front = current()
    plan = evacuation.balance(front.app, names or [], untested=untested)
    if dry_run:
        return preview(plan)
    if plan.moves:
        ask(plan, "to emptier nodes", out)
    return move_all(plan, wave, out, untested=untested, empty="each node has its share already")
