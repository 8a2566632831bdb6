"""`vpnctl user migrate`: moving people, make before break."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vpnctl.cli import output
from vpnctl.cli.completion import (
    complete_devices,
    complete_interfaces,
    complete_nodes,
    complete_protocols,
    complete_users,
)
from vpnctl.cli.front import current
from vpnctl.cli.many import Listed, Where, meant
from vpnctl.rules.grammar import clean

if TYPE_CHECKING:
    from vpnctl.actions.people import migration


def migrate(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Whom.", autocompletion=complete_users)
    ] = None,
    to: Annotated[str, typer.Option("--to", metavar="NODE", help="Where to.", autocompletion=complete_nodes)] = "",
    device: Annotated[
        str | None, typer.Option("--device", help="Only this device.", autocompletion=complete_devices)
    ] = None,
    source: Annotated[
        str | None,
        typer.Option("--from", metavar="NODE", help="Only devices on this node.", autocompletion=complete_nodes),
    ] = None,
    everybody: Annotated[bool, typer.Option("--all", help="Everybody on the node of --from.")] = False,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Write the new files there.")] = None,
    endpoint: Annotated[
        str | None,
        typer.Option("--endpoint", metavar="NAME", help="To this endpoint there.", autocompletion=complete_interfaces),
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option("--protocol", help="To this protocol; else it stays.", autocompletion=complete_protocols),
    ] = None,
    where: Where = None,
    listed: Listed = None,
    untested: Annotated[
        bool, typer.Option("--untested", help="Also to a node through which packets were not seen to pass.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")] = False,
) -> int:
    """Move people to another node, endpoint or protocol: the new peer works before the old one ends.

    The new config goes to stdout (or into --out DIR), which counts as delivered. The old peer lives until the
    new one's first handshake, or until the grace is over. Of several people, those who cannot be moved are named
    and left (exit 5), all others are moved. Run again after a crash: it finishes, without duplicates.
    """
    from vpnctl.actions.outcome import Done
    from vpnctl.actions.people import migration
    from vpnctl.cli.carry import rehearsed
    from vpnctl.errors import InvalidInput, worst

    front = current()
    many = where is not None or listed is not None
    chosen = meant(names[0] if names else None, where, listed, devices=False) if many else names
    whom = _whom(chosen, source, to, everybody=everybody, ask=not dry_run, many=many)
    left: list[migration.Left] = []
    target = migration.Destination(to, endpoint, protocol)

    def verb(trial: Any) -> list[Any]:
        if len(whom) == 1:
            return migration.start(trial, whom[0], target, device=device, source=source, untested=untested)
        moved, stay = migration.start_all(trial, whom, target, device=device, source=source, untested=untested)
        left[:] = stay
        return moved

    if dry_run:
        code = rehearsed(lambda trial: Done(moved := verb(trial), migration.concerned(moved)))
        return worst((code, recap(left)))
    if out is not None and not out.is_dir() and (out.exists() or not out.parent.is_dir()):
        raise InvalidInput(f"{out} is not a folder", f"mkdir -p {out}")
    moved = verb(front.app)
    if not whom:
        nobody = "that means nobody" if many else f"nobody lives on {source}"
        return output.finish(front, [], nobody, changed=False, peers=[], left=[])
    if not moved:
        what = "" if left else f"nothing to move to {to}: see vpnctl peer list --user {whom[0]}"
        return worst((output.finish(front, [], what, changed=False, peers=[], left=left), recap(left)))
    return worst((_hand_over(moved, left, to, out, untested=untested), recap(left)))


def _hand_over(
    moved: list[migration.Moved], left: list[migration.Left], to: str, out: Path | None, *, untested: bool
) -> int:
    """Settle the target, see packets pass it, and only then hand out the new files."""
    from vpnctl.actions.fleet.settle import Wish, settle
    from vpnctl.actions.people import migration
    from vpnctl.cli.deliver import hand_over

    front = current()
    settled, targets = settle(front.app, migration.concerned(moved)), migration.nodes(moved)
    if not untested and not any(each.code for each in settled):
        settled = settle(front.app, targets, Wish(always=True, prove=True))
    if any(each.code for each in settled if each.node_id in targets):
        front.say("no config is handed out before packets pass the target; run this again when they do")
        return output.finish(front, settled, "", peers=[], left=left)
    if out is not None:
        out.mkdir(mode=0o700, exist_ok=True)
    for each in moved:
        device = f"{each.new.user.name}/{each.new.peer.device}"
        if each.dropped:
            front.say(f"note: {device} keeps no {', '.join(each.dropped)} of its own there: vpnctl peer show {device}")
        if each.new.forgotten:
            front.say(f"note: the key of {device} was not kept here: its file of before, or vpnctl peer regen {device}")
    rows = hand_over(front, [each.new for each in moved if not each.new.forgotten], out=out)
    settle(front.app, [each.old_node.id for each in moved])  # the grace runs from the handing out on: they are told
    people = sorted({each.new.user.name for each in moved})
    who = people[0] if len(people) == 1 else output.count(len(people), "person", "people")
    hours = front.settings.migration_grace_hours
    what = f"{who} may use {to}; an old peer ends at the first handshake there, or in {hours} h"
    return output.finish(front, settled, what, saved=what, peers=rows, left=left)


def recap(left: Sequence[Any]) -> int:
    """Say who was left where they are, and why; return the exit code for that."""
    front = current()
    if left and not front.json:
        front.say(f"left where they are: {output.count(len(left), 'person', 'people')}")
        for each in left:
            front.say(f"  {each.user}: {clean(each.why)}")
            front.say(f"      {clean(each.hint)}")
    return 5 if left else 0


def _whom(names: list[str] | None, source: str | None, to: str, *, everybody: bool, ask: bool, many: bool) -> list[str]:
    """Return the people to move; many, and with --all everybody on the node of --from, after a question."""
    from vpnctl.actions.people import migration
    from vpnctl.errors import InvalidInput

    front = current()
    if not to:
        raise InvalidInput("where to?", "--to NODE")
    if everybody:
        if source is None or names:
            raise InvalidInput("--all means everybody on one node", "--all --from NODE, without names")
        with front.app.store.read() as tx:
            whom = migration.everybody(tx, source)
        if ask:
            front.confirm(f"Move {output.count(len(whom), 'person', 'people')} from {source} to {to}?")
        return whom
    if not names and not many:
        raise InvalidInput("whom?", "vpnctl user migrate NAME --to NODE, or: --all --from NODE, --where KEY=VALUE")
    if many and names and ask:
        front.confirm(f"Move {output.count(len(names), 'person', 'people')} to {to}?")
    return list(dict.fromkeys(names or []))
