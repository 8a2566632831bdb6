"""`vpnctl peer suspend`, `resume`, `revoke`: whether a device may connect, and what was read of that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vpnctl.cli.carry import Told, carry_out
from vpnctl.cli.completion import complete_peers
from vpnctl.cli.front import current
from vpnctl.cli.many import Listed, Where, carry_out_for_many, meant
from vpnctl.rules.access import Reason

if TYPE_CHECKING:
    from vpnctl.actions.outcome import Done, Settled
    from vpnctl.actions.people.peers import OwnedPeer
    from vpnctl.app import App

Ref = Annotated[str, typer.Argument(metavar="USER[/DEVICE][@NODE]", help="The peer.", autocompletion=complete_peers)]
MaybeRef = Annotated[
    str | None, typer.Argument(metavar="[USER[/DEVICE][@NODE]]", help="The peer.", autocompletion=complete_peers)
]
Wait = Annotated[
    int, typer.Option("--wait", metavar="SECONDS", min=0, help="Try again for so long until it was seen on the node.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")]


def suspend(
    peer: MaybeRef = None, where: Where = None, listed: Listed = None, wait: Wait = 0, dry_run: DryRun = False
) -> int:
    """Cut a device, or many, for now; keys and addresses are kept."""
    from vpnctl.actions.people import peers

    if peer is not None and where is None and listed is None:
        return _switch(peers.suspend, peer, "suspended", dry_run, wait)
    names = meant(peer, where, listed, devices=True)
    return carry_out_for_many(names, peers.suspend, "suspended", "device", dry_run=dry_run, wait=wait)


def resume(peer: MaybeRef = None, where: Where = None, listed: Listed = None, dry_run: DryRun = False) -> int:
    """Let a suspended device in again, or many."""
    from vpnctl.actions.people import peers

    if peer is not None and where is None and listed is None:
        return _switch(peers.resume, peer, "resumed", dry_run)
    names = meant(peer, where, listed, devices=True)
    return carry_out_for_many(names, peers.resume, "resumed", "device", dry_run=dry_run)


def revoke(
    peer: Ref,
    wait: Wait = 0,
    dry_run: DryRun = False,
) -> int:
    """Revoke a device for good. It ends only when its absence was read on the node."""
    from vpnctl.actions.people import peers

    return _switch(peers.revoke, peer, "revoked", dry_run, wait)


def _switch(verb: Callable[[App, str], Done[OwnedPeer]], text: str, what: str, dry_run: bool, wait: int = 0) -> int:
    front = current()
    seen: list[OwnedPeer] = []

    def tell(done: Done[OwnedPeer], _: Sequence[Settled]) -> Told:
        seen.append(done.made)
        view = by_id(done.made.peer.id)
        return Told(f"{what} {view.user}/{view.device}{read(view)}", {"peers": [view]})

    code = carry_out(lambda app: verb(app, text), tell, dry_run=dry_run, wait=wait)
    if seen and not front.json:
        if "@" in text and what != "resumed":
            _say_elsewhere(seen[0])
        view = by_id(seen[0].peer.id)
        if code:
            front.say(f"{view.user}/{view.device} on {view.node}: {view.state}" + _may_pass(view.state))
    return code


def _say_elsewhere(made: OwnedPeer) -> None:
    """A word about a device on one node says nothing of its keys on others: that they work is said."""
    from vpnctl.reports import devices
    from vpnctl.store import models

    front = current()
    peer, row = models.peer.c, made.peer
    with front.app.store.read() as tx:
        same = (peer.user_id == row.user_id, peer.device == row.device, peer.revoked_at.is_(None), peer.id != row.id)
        rows = devices.peers(tx, front.app.clock(), *same)
    for each in rows:
        if each.state.startswith("active"):
            front.say(f"note: {made.user.name}/{row.device} still works on {each.node}")


def _may_pass(state: str) -> str:
    return "; it may still pass traffic until the node was read again" if "cut pending" in state else ""


def by_id(peer_id: str) -> Any:
    from vpnctl.reports import devices
    from vpnctl.store import models

    front = current()
    with front.app.store.read() as tx:
        return devices.peers(tx, front.app.clock(), models.peer.c.id == peer_id, revoked=True)[0]


def read(view: Any) -> str:
    """Say what was read on the node; somebody who is blocked has a peer that is rightly absent."""
    if view.state.startswith("active"):
        return f": seen on {view.node}"
    if view.reason in (Reason.REVOKED, Reason.SUSPENDED):
        return f"; checked: no longer on {view.node}"
    return f"; checked: not on {view.node}, because it may not connect ({view.reason})"
