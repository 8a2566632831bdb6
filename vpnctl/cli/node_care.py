"""`vpnctl node sync`, `check`, `measure`, `retire`: keeping nodes as they should be, and knowing how they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vpnctl.cli import output
from vpnctl.cli.completion import complete_nodes
from vpnctl.cli.front import current

if TYPE_CHECKING:
    from vpnctl.app import App

Name = Annotated[str, typer.Argument(metavar="NAME", help="Node name.", autocompletion=complete_nodes)]
Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="[NAME]...", help="Nodes; all when none is named.", autocompletion=complete_nodes),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")]


def sync(
    names: Names = None,
    dry_run: DryRun = False,
    cut_all: Annotated[bool, typer.Option("--cut-all", help="Lift the brake on many removals by time.")] = False,
    prune_aliens: Annotated[
        bool, typer.Option("--prune-aliens", help="Remove peers on the node that are not ours.")
    ] = False,
) -> int:
    """Make nodes agree with the database, in everything, and prove it."""
    from vpnctl.actions.fleet import aliens, clock, probes
    from vpnctl.actions.fleet.preview import drift, rehearse
    from vpnctl.actions.fleet.settle import Wish, settle_and_follow_up
    from vpnctl.rules.changes import SYSTEM
    from vpnctl.store import find

    front = current()
    with front.app.store.read() as tx:
        rows = find.nodes(tx, names or [])
    ids = [row.id for row in rows]
    wish = Wish(scope=SYSTEM, always=True, cut_all=cut_all, prove=not dry_run)
    if dry_run and prune_aliens:

        def pruned(trial: App) -> list[str]:
            aliens.prune(trial, ids)
            return ids

        return output.show_preview(front, rehearse(front.app, pruned, wish))
    if dry_run:
        return output.show_preview(front, drift(front.app, ids, wish))
    if prune_aliens:
        doomed = aliens.count(front.app, ids)
        if doomed:
            front.confirm(f"Remove {output.count(doomed, 'peer')} not ours from {', '.join(row.name for row in rows)}?")
        aliens.prune(front.app, ids)
    _say_bare(names or [])
    probes.ensure(front.app, ids)
    settled = settle_and_follow_up(front.app, ids, wish)
    if cut_all:
        clock.note(front.app)
    changed = sum(1 for each in settled if each.changes)
    verb = "agrees" if len(settled) == 1 else "agree"
    with front.app.store.read() as tx:
        proven = all(row.path_at is not None for row in (find.node(tx, each.node) for each in settled))
    passes = ", packets pass" if proven else ""
    what = f"{output.count(len(settled), 'node')} {verb} with the database{passes}; {changed or 'none'} changed"
    return output.finish(front, settled, what, changed=changed > 0, nodes=[each.node for each in settled])


def _say_bare(names: Sequence[str]) -> None:
    """A server on which nothing is served yet agrees with everything: that is said, or it reads as good news."""
    from vpnctl.reports import fleet

    front = current()
    with front.app.store.read() as tx:
        rows = fleet.nodes(tx, front.app.clock(), planned=False)
    for row in rows:
        if row.state == "not provisioned" and (not names or row.name in names):
            front.say(f"note: {row.name} is not provisioned yet: vpnctl node provision {row.name}")


def check(names: Names = None) -> int:
    """Compare nodes with the database, and shake hands with them as clients do. Exit 4 when something is not right."""
    from vpnctl.actions.fleet import preview
    from vpnctl.actions.fleet.settle import Wish
    from vpnctl.rules.changes import SYSTEM
    from vpnctl.store import find

    front = current()
    with front.app.store.read() as tx:
        ids = [row.id for row in find.nodes(tx, names or [])]
    _say_bare(names or [])
    return output.show_preview(front, preview.check(front.app, ids, Wish(scope=SYSTEM)), drift=True)


def measure(
    name: Name,
    seconds: Annotated[
        float, typer.Option("--seconds", min=0.5, max=30, help="How long to send each way through the tunnel.")
    ] = 2.0,
    history: Annotated[int, typer.Option("--history", metavar="N", min=0, help="Only show the last N results.")] = 0,
) -> int:
    """Measure latency, loss and throughput to a node and through its tunnel, and keep the figures.

    From this machine: handshakes and SSH for the direct way, packets of our own inside the tunnel. It loads the line
    for some seconds.
    """
    from vpnctl.reports import measurements

    front = current()
    if not history:
        from vpnctl.actions.fleet.measure import measure as work

        found, settled = work(front.app, name, seconds)
        if front.json:
            return output.finish(front, settled, "", measurements=found)
        output.show_list(front, found, ("node", "way", "latency_ms", "loss", "down_mbit", "up_mbit"))
        return output.finish(front, settled, "kept; vpnctl node measure NAME --history 10 shows earlier ones")
    with front.app.store.read() as tx:
        rows = measurements.history(tx, name, history)
    return output.show_list(front, rows, ("at", "way", "latency_ms", "loss", "down_mbit", "up_mbit"))


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
    from vpnctl.reports import devices
    from vpnctl.store import find, models

    front = current()
    with front.app.store.read() as tx:
        here = models.endpoint.c.node_id == find.node(tx, name).id
        rows = devices.peers(tx, front.app.clock(), here, models.peer.c.retiring_at.is_not(None))
    moving = sorted({f"{row.user}/{row.device}" for row in rows if row.state.startswith("active")})
    return f" These have not connected at their new node yet and are cut: {', '.join(moving)}." if moving else ""


def view_of(name: str) -> Any:
    """Return what is shown of a node."""
    from vpnctl.reports import fleet

    front = current()
    with front.app.store.read() as tx:
        rows = fleet.nodes(tx, front.app.clock(), retired=True, name=name)
    # A retired node may have had the same name; the living one is meant.
    return next((row for row in rows if row.state != "retired"), rows[-1] if rows else None)
