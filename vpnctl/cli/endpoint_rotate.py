"""`vpnctl endpoint rotate`: a new key, port and parameters, without anybody being cut off before they have them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from vpnctl.cli import output
from vpnctl.cli.carry import Told, carry_out
from vpnctl.cli.completion import complete_interfaces, complete_nodes
from vpnctl.cli.front import current
from vpnctl.cli.waves import Out, Untested, Wave, move_all

if TYPE_CHECKING:
    from vpnctl.actions.fleet.settle import Wish
    from vpnctl.actions.outcome import Done
    from vpnctl.store.rows import Endpoint


def rotate(
    node: Annotated[str, typer.Argument(metavar="NODE", help="Node name.", autocompletion=complete_nodes)],
    interface: Annotated[
        str, typer.Argument(metavar="INTERFACE", help="Its name there.", autocompletion=complete_interfaces)
    ],
    port: Annotated[int | None, typer.Option("--port", help="Of the new one; the next free one unless told.")] = None,
    out: Out = None,
    wave: Wave = 0,
    untested: Untested = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")] = False,
) -> int:
    """Renew the key, the port and the parameters of an endpoint: a new one beside it, to which everybody moves.

    Each device keeps the old one until it has connected to the new one, or until the grace after its new file was
    handed out is over. When nobody is left on the old one, it is removed. Run again it goes on.
    """
    from vpnctl.actions.fleet import successors
    from vpnctl.actions.fleet.settle import settle
    from vpnctl.actions.people import rotation

    front = current()
    devices = _devices(node, interface)
    if dry_run:
        return carry_out(
            lambda app: successors.rotate(app, node, interface, port),
            lambda *_: Told(""),
            dry_run=True,
            wish=_wish(prove=False),
            foretell=lambda would: _foretell(would, devices),
        )
    if devices:
        front.confirm(f"{output.count(len(devices), 'device')} will need a new file. Go on?")
    new = successors.rotate(front.app, node, interface, port)
    settled = settle(front.app, new.node_ids, _wish(prove=not untested))
    if any(each.code for each in settled):
        what = f"{node} {new.made.name} follows {interface}, and nobody is moved before it serves: run it again then"
        return output.finish(front, settled, what, saved=what)
    front.say(f"{node} serves {new.made.protocol} with a new key on {new.made.name}, port {new.made.port}")
    plan = rotation.plan(front.app, node, interface, untested=untested)
    code = move_all(plan, wave, out, untested=untested, empty=f"nobody is left to move from {interface}")
    return code or _ended(node, interface)


def _wish(*, prove: bool) -> Wish:
    from vpnctl.actions.fleet.settle import Wish
    from vpnctl.rules.changes import SYSTEM

    return Wish(scope=SYSTEM, always=True, prove=prove)


def _devices(node: str, interface: str) -> list[str]:
    """Return the devices that would need a new file."""
    from vpnctl.actions.people import residents
    from vpnctl.store import find

    app = current().app
    with app.store.read() as tx:
        old = find.endpoint(tx, find.node(tx, node), interface)
        people, _ = residents.on_endpoint(tx, old, app.clock())
    return [f"{each.name}/{device}" for each in people for device in each.devices]


def _foretell(would: Done[Endpoint], devices: list[str]) -> None:
    front = current()
    front.say(f"{would.made.name} on port {would.made.port} would follow, with a new key")
    if devices:
        front.say("these devices would need a new file: " + ", ".join(devices))


def _ended(node: str, interface: str) -> int:
    """Remove the old endpoint where nobody is on it; else say what it waits for."""
    from vpnctl.actions.fleet.settle import settle
    from vpnctl.actions.people import rotation
    from vpnctl.errors import worst

    front = current()
    settled = settle(front.app, rotation.end(front.app), _wish(prove=False))
    for each in settled:
        front.say(each.error or f"{each.node}: nobody is left on {interface}; it is removed")
    if not settled:
        front.say(f"{interface} is removed when every device has connected anew: vpnctl peer list --node {node}")
    return worst(each.code for each in settled)
