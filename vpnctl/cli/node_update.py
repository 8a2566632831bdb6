"""`vpnctl node update`: packages and cores in other versions, one node first."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vpnctl.cli import output
from vpnctl.cli.completion import complete_nodes
from vpnctl.cli.front import current, interruptible

if TYPE_CHECKING:
    from vpnctl.actions.fleet.update import Available, Updated

SHOWN = 12
"""Digits of an archive's sha256 that are shown."""


def update(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...", help="These, in this order; all when none is named.", autocompletion=complete_nodes
        ),
    ] = None,
    package: Annotated[
        list[str] | None,
        typer.Option("--package", metavar="NAME[=VERSION]", help="Only this package or core; may be repeated."),
    ] = None,
    wait: Annotated[int, typer.Option("--wait", metavar="SECONDS", min=0, help="Watch the first node so long.")] = 60,
    wave: Annotated[int, typer.Option("--wave", metavar="NODES", min=1, help="So many at once, after the first.")] = 5,
    one_way: Annotated[
        bool, typer.Option("--one-way", help="Also where the present version is nowhere to be had any more.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what is newer.")] = False,
) -> int:
    """Bring vpnctl's packages and cores to the newest version: one node first, proven by packets, then in waves.

    A node that fails its proof goes back to what it had, and no further one is touched. A core that is replaced is
    started anew: connections through it are opened again. Run again after a crash it goes on.
    """
    from vpnctl.actions.fleet import update as work
    from vpnctl.errors import worst

    front = current()
    found = work.available(front.app, names or [], _named(package))
    targets = [each for each in found if each.newer or each.begun]
    for each in found:
        if each.error:
            front.say(f"{each.node.name} could not be read: {each.error}")
    unread = worst(each.code for each in found)
    if dry_run or not targets:
        told = "" if targets or unread else "nothing is newer"
        code = output.finish(front, [], told, changed=False, newer=_show(targets))
        return worst((code, unread))
    _show(targets, loudly=True)
    rest = f", then the {len(targets) - 1} others" if len(targets) > 1 else ""
    front.confirm(f"Update {targets[0].node.name} first{rest}?")
    with interruptible("run it again: it goes on where it was"):
        done = work.roll_out(front.app, targets, lambda: _pause(targets[0].node.name, wait), wave, one_way=one_way)
    return worst((_report(done, targets), unread))


def _named(package: Sequence[str] | None) -> dict[str, str]:
    from vpnctl.rules.grammar import package_version

    return dict(package_version(each) for each in package or ())


def _rows(targets: Sequence[Available]) -> list[dict[str, Any]]:
    def short(version: str, *, archive: bool) -> str:
        return version[:SHOWN] if archive else version

    return [
        {
            "node": each.node.name,
            "name": version.name,
            "now": short(version.now, archive=version.archive is not None),
            "then": short(version.then, archive=version.archive is not None),
        }
        for each in targets
        for version in each.newer
    ]


def _show(targets: Sequence[Available], *, loudly: bool = False) -> list[dict[str, Any]]:
    front = current()
    rows = _rows(targets)
    if loudly or not front.json:
        for row in rows:
            front.say(f"{row['node']}: {row['name']} {row['now']} -> {row['then']}")
    for each in targets:
        if each.begun:
            front.say(f"{each.node.name}: an update was begun there and goes on")
    return rows


def _pause(name: str, seconds: int) -> None:
    with current().app.progress(f"watching {name}", seconds) as step:
        for _ in range(seconds):
            time.sleep(1)
            step()


def _report(done: Sequence[Updated], targets: Sequence[Available]) -> int:
    from vpnctl.actions.fleet.update import UpdateFate
    from vpnctl.errors import worst

    front = current()
    for each in done:
        if each.fate is not UpdateFate.UPDATED:
            front.say(f"{each.node}: {each.fate}: {each.error}")
    updated = [each.node for each in done if each.fate is UpdateFate.UPDATED]
    left = [each.node.name for each in targets[len(done) :]]
    if left:
        front.say(f"not touched: {', '.join(left)}")
    what = f"updated, and packets pass: {', '.join(updated)}" if updated else ""
    rows = [{"node": each.node, "fate": each.fate, "error": each.error} for each in done]
    code = output.finish(front, [], what, changed=bool(updated), updated=rows, left=left)
    return worst((code, *(each.code for each in done)))
