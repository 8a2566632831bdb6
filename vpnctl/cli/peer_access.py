"""`vpnctl peer suspend`, `resume`, `revoke`: whether a device may connect, and what was read of that."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from vpnctl.cli import output
from vpnctl.cli.completion import complete_peers
from vpnctl.cli.front import current
from vpnctl.rules.access import Reason

Ref = Annotated[str, typer.Argument(metavar="USER[/DEVICE][@NODE]", help="The peer.", autocompletion=complete_peers)]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")]


def suspend(peer: Ref, dry_run: DryRun = False) -> int:
    """Cut a device for now; key and address are kept."""
    from vpnctl.actions.people import peers

    return _switch(peers.suspend, peer, "suspended", dry_run)


def resume(peer: Ref, dry_run: DryRun = False) -> int:
    """Let a suspended device in again."""
    from vpnctl.actions.people import peers

    return _switch(peers.resume, peer, "resumed", dry_run)


def revoke(peer: Ref, dry_run: DryRun = False) -> int:
    """Revoke a device for good. It ends only when its absence was read on the node."""
    from vpnctl.actions.people import peers

    return _switch(peers.revoke, peer, "revoked", dry_run)


def _switch(verb: Any, text: str, what: str, dry_run: bool) -> int:
    from vpnctl.actions.fleet.settle import settle

    front = current()
    if dry_run:
        return preview(lambda trial: verb(trial, text)[2])
    owner, row, nodes = verb(front.app, text)
    settled = settle(front.app, nodes)
    view = by_id(row.id)
    code = output.finish(front, settled, f"{what} {owner.name}/{row.device}{read(view)}", peers=[view])
    if "@" in text and what != "resumed" and not front.json:
        _say_elsewhere(owner.name, row)
    if code and not front.json:
        front.say(f"{owner.name}/{row.device} on {view.node}: {view.state}" + _may_pass(view.state))
    return code


def _say_elsewhere(user: str, row: Any) -> None:
    """A word about a device on one node says nothing of its keys on others: that they work is said."""
    from vpnctl import reports
    from vpnctl.store import models

    front = current()
    peer = models.peer.c
    with front.app.store.read() as tx:
        same = (peer.user_id == row.user_id, peer.device == row.device, peer.revoked_at.is_(None), peer.id != row.id)
        rows = reports.peers(tx, front.app.clock(), *same)
    for each in rows:
        if each.state.startswith("active"):
            front.say(f"note: {user}/{row.device} still works on {each.node}")


def _may_pass(state: str) -> str:
    return "; it may still pass traffic until the node was read again" if "cut pending" in state else ""


def by_id(peer_id: str) -> Any:
    from vpnctl import reports
    from vpnctl.store import models

    front = current()
    with front.app.store.read() as tx:
        return reports.peers(tx, front.app.clock(), models.peer.c.id == peer_id, revoked=True)[0]


def read(view: Any) -> str:
    """Say what was read on the node; somebody who is blocked has a peer that is rightly absent."""
    if view.state.startswith("active"):
        return f": seen on {view.node}"
    if view.reason in (Reason.REVOKED, Reason.SUSPENDED):
        return f"; checked: no longer on {view.node}"
    return f"; checked: not on {view.node}, because it may not connect ({view.reason})"


def preview(verb: Any) -> int:
    from vpnctl.actions.fleet.preview import rehearse

    front = current()
    return output.show_preview(front, rehearse(front.app, verb))
