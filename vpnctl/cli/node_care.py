"""`vpnctl node sync`, `check`: keeping nodes as they should be."""

from __future__ import annotations

from typing import Annotated

import typer

from vpnctl.cli import output
from vpnctl.cli.front import complete_nodes, current

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
    from vpnctl.actions import aliens, clock, find, probes
    from vpnctl.actions.preview import drift
    from vpnctl.actions.settle import Wish, settle
    from vpnctl.rules.changes import SYSTEM

    front = current()
    with front.app.store.read() as tx:
        rows = find.nodes(tx, names or [])
    ids = [row.id for row in rows]
    wish = Wish(scope=SYSTEM, always=True, cut_all=cut_all)
    if dry_run:
        return output.show_preview(front, drift(front.app, ids, wish))
    if prune_aliens:
        doomed = aliens.count(front.app, ids)
        if doomed:
            front.confirm(f"Remove {doomed} peers that are not ours from {', '.join(row.name for row in rows)}?")
        aliens.prune(front.app, ids)
    probes.ensure(front.app, ids)
    settled = settle(front.app, ids, wish)
    if cut_all:
        clock.note(front.app)
    changed = sum(1 for each in settled if each.changes)
    what = f"{len(settled)} nodes agree with the database, {changed} of them were changed"
    return output.finish(front, settled, what, changed=changed > 0, nodes=[each.node for each in settled])


def check(names: Names = None) -> int:
    """Compare nodes with the database, and shake hands with them as clients do. Exit 4 when something is not right."""
    from vpnctl.actions import find, preview
    from vpnctl.actions.settle import Wish
    from vpnctl.rules.changes import SYSTEM

    front = current()
    with front.app.store.read() as tx:
        ids = [row.id for row in find.nodes(tx, names or [])]
    return output.show_preview(front, preview.check(front.app, ids, Wish(scope=SYSTEM)), drift=True)
