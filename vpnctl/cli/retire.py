"""`vpnctl node retire`, and what is shown of one node."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from vpnctl.cli import output
from vpnctl.cli.completion import complete_nodes
from vpnctl.cli.front import current

Name = Annotated[str, typer.Argument(metavar="NAME", help="Node name.", autocompletion=complete_nodes)]


def retire(
    name: Name,
    revoke_peers: Annotated[
        bool, typer.Option("--revoke-peers", help="Revoke the peers that still live there.")
    ] = False,
    destroyed: Annotated[bool, typer.Option("--destroyed", help="The machine is gone: contact nothing.")] = False,
) -> int:
    """Take a node out of service and remove what we installed there."""
    from vpnctl.actions.fleet import retire as work

    front = current()
    view = view_of(name)
    if view is not None and view.state != "retired":
        front.confirm(
            f"Retire {view.name} ({view.address}, {output.count(view.peers, 'peer')})?{_cut_by_it(view.name)}"
        )
    _, settled = work.retire(front.app, name, revoke=revoke_peers, destroyed=destroyed)
    left = (
        "; nothing was removed from it. If that machine still runs, devices still get in through it: delete it"
        if destroyed
        else ". On the server, the packages stay installed, and packets are forwarded until it boots again"
    )
    return output.finish(front, [settled], f"retired {name}{left}", nodes=[view_of(name)])


def _cut_by_it(name: str) -> str:
    """Name the devices that moved away and have not connected at their new place: what they have ends here."""
    from vpnctl import reports
    from vpnctl.store import find, models

    front = current()
    with front.app.store.read() as tx:
        here = models.endpoint.c.node_id == find.node(tx, name).id
        rows = reports.peers(tx, front.app.clock(), here, models.peer.c.retiring_at.is_not(None))
    devices = sorted({f"{row.user}/{row.device}" for row in rows if row.state.startswith("active")})
    return f" These have not connected at their new node yet and are cut: {', '.join(devices)}." if devices else ""


def view_of(name: str) -> Any:
    """Return what is shown of a node."""
    from vpnctl import reports

    front = current()
    with front.app.store.read() as tx:
        rows = reports.nodes(tx, front.app.clock(), retired=True, name=name)
    # A retired node may have had the same name; the living one is meant.
    return next((row for row in rows if row.state != "retired"), rows[-1] if rows else None)
