"""`vpnctl endpoint rotate`: a new key, port and parameters, without anybody being cut off before they have them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vpnctl.cli import output
from vpnctl.cli.carry import Told, carry_out
from vpnctl.cli.completion import complete_interfaces, complete_nodes
from vpnctl.cli.front import current
from vpnctl.cli.waves import Around, Out, Untested, Wave, move_all

if TYPE_CHECKING:
    from vpnctl.actions.fleet.settle import Wish
    from vpnctl.actions.outcome import Done, Settled
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
    old = _old(node, interface)
    if old is None:
        return 0
    devices = _devices(old)
    if dry_run:
        return carry_out(
            lambda app: successors.rotate(app, node, interface, port),
            lambda *_: Told(""),
            dry_run=True,
            wish=_wish(prove=False),
            foretell=lambda would: _foretell(would, devices),
        )
    with front.app.store.rehearsal() as store:  # what cannot be done is said before anything is asked
        successors.rotate(replace(front.app, store=store), node, interface, port)
    if devices:
        front.confirm(f"{output.count(len(devices), 'device')} will need a new file. Go on?")
    new = successors.rotate(front.app, node, interface, port)
    settled = settle(front.app, new.node_ids, _wish(prove=not untested))
    rows: dict[str, Any] = {"interface": new.made.name, "port": new.made.port}
    if any(each.code for each in settled):
        what = (
            f"{node} {new.made.name} follows {interface}, and nobody is moved before packets pass {node}: "
            "run it again then, or with --untested"
        )
        return output.finish(front, settled, what, saved=what, **rows)
    front.say(f"{node} serves {new.made.protocol} with a new key on {new.made.name}, port {new.made.port}")
    plan = rotation.plan(front.app, node, interface, untested=untested)
    around = Around(rows, lambda: _ended(node, old))
    empty = f"nobody is left to move from {interface}"
    return move_all(plan, wave, out, untested=untested, empty=empty, around=around)


def _old(node: str, interface: str) -> Endpoint | None:
    """Return the endpoint; None where it was rotated and has ended, which is said."""
    from vpnctl.actions.fleet import successors
    from vpnctl.errors import NotFound
    from vpnctl.store import find

    front = current()
    with front.app.store.read() as tx:
        home = find.node(tx, node)
        try:
            return find.endpoint(tx, home, interface)
        except NotFound:
            heir = successors.followed_by(tx, home, interface)
            if heir is None:
                raise
    what = f"{interface} of {node} was rotated, and is removed: {heir.name} serves"
    output.finish(front, [], what, changed=False, interface=heir.name, port=heir.port, moves=[], left=[])
    return None


def _wish(*, prove: bool) -> Wish:
    from vpnctl.actions.fleet.settle import Wish
    from vpnctl.rules.changes import SYSTEM

    return Wish(scope=SYSTEM, always=True, prove=prove)


def _devices(old: Endpoint) -> list[str]:
    """Return the devices that would need a new file."""
    from vpnctl.actions.people import residents

    app = current().app
    with app.store.read() as tx:
        people, _ = residents.on_endpoint(tx, old, app.clock())
    return [f"{each.name}/{device}" for each in people for device in each.devices]


def _foretell(would: Done[Endpoint], devices: list[str]) -> None:
    front = current()
    front.say(f"{would.made.name} on port {would.made.port} would follow, with a new key")
    if devices:
        front.say("these devices would need a new file: " + ", ".join(devices))


def _ended(node: str, old: Endpoint) -> list[Settled]:
    """Remove the old endpoint where nobody is on it; else say what it waits for."""
    from vpnctl.actions.fleet.settle import settle
    from vpnctl.actions.people import rotation

    front = current()
    aliens = rotation.aliens(front.app, old.id)
    ended = rotation.end(front.app, only=old.id)
    settled = settle(front.app, ended, _wish(prove=False))
    if ended:
        front.say(f"nobody is left on {old.name}; it is removed")
    elif aliens:
        front.say(f"{old.name} stays for {output.count(aliens, 'alien peer')}: vpnctl node show {node} lists them")
        front.say(f"    to end it all the same: vpnctl node sync {node} --prune-aliens")
    else:
        front.say(f"{old.name} is removed when every device has connected anew: vpnctl peer list --node {node}")
    return settled
