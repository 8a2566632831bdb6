"""`vpnctl node drain`, `evacuate`, `rebalance`: many people move, in waves that stop where something goes wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vpnctl.cli import output
from vpnctl.cli.completion import complete_nodes
from vpnctl.cli.front import current, interruptible
from vpnctl.cli.moving import recap
from vpnctl.cli.node_care import view_of

if TYPE_CHECKING:
    from vpnctl.actions.outcome import Settled
    from vpnctl.actions.people.evacuation import Move, MovingPlan
    from vpnctl.actions.people.migration import Left, Moved

Name = Annotated[str, typer.Argument(metavar="NAME", help="Node name.", autocompletion=complete_nodes)]
Out = Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Write the new files there.")]
Wave = Annotated[
    int, typer.Option("--wave", metavar="PEOPLE", min=0, help="At once; 20 or a tenth of all unless told.")
]
Untested = Annotated[
    bool, typer.Option("--untested", help="Also to a node through which packets were not seen to pass.")
]
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
        return _preview(plan)
    if plan.moves:
        _ask(plan, f"from {name}", out)
        evacuation.drain(front.app, name)
    code = _carry_out(plan, wave, out, untested=untested, empty=f"nobody is left to move from {name}")
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
        return _preview(plan)
    if plan.moves:
        _ask(plan, "to emptier nodes", out)
    return _carry_out(plan, wave, out, untested=untested, empty="each node has its share already")


def _ask(plan: MovingPlan, how: str, out: Path | None) -> None:
    from vpnctl.errors import InvalidInput

    if out is not None and not out.is_dir() and (out.exists() or not out.parent.is_dir()):
        raise InvalidInput(f"{out} is not a folder", f"mkdir -p {out}")
    goals = Counter(move.target for move in plan.moves)
    spread = ", ".join(f"{count} to {name}" for name, count in sorted(goals.items()))
    current().confirm(f"Move {output.count(len(plan.moves), 'person', 'people')} {how}: {spread}?")


def _preview(plan: MovingPlan) -> int:
    front = current()
    if front.json:
        output.dump(
            {"moves": [output.plain(move) for move in plan.moves], "left": [output.plain(each) for each in plan.left]}
        )
        return 5 if plan.left else 0
    if not plan.moves:
        front.say("nobody would move")
    totals = Counter((move.source, move.target) for move in plan.moves)
    for (source, target), count in sorted(totals.items()):
        front.say(f"{output.count(count, 'person', 'people')} would move from {source} to {target}")
    output.show_list(front, list(plan.moves), ("user", "source", "target", "devices"))
    return recap(plan.left)


@dataclass
class _Done:
    """What became of the waves so far."""

    moved: list[Moved] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)
    settled: dict[str, Settled] = field(default_factory=dict)
    """How each node came out last, by id."""
    rows: list[Any] = field(default_factory=list)
    by_hand: int = 0
    """Devices whose new file nobody has sent or written."""


def _carry_out(plan: MovingPlan, wave: int, out: Path | None, *, untested: bool, empty: str) -> int:
    from vpnctl.actions.fleet.settle import settle
    from vpnctl.errors import worst

    front = current()
    done = _Done(left=list(plan.left))
    if not plan.moves:
        told = "" if plan.left else empty
        return worst((output.finish(front, [], told, changed=False, moves=[], left=done.left), recap(done.left)))
    if out is not None:
        out.mkdir(mode=0o700, exist_ok=True)
    parts = list(plan.waves(wave))
    with (
        interruptible("run it again: it goes on where it was"),
        front.app.progress("moving people", len(parts)) as step,
    ):
        for part in parts:
            if not _one_wave(part, done, out, untested=untested):
                break
            step()
        # The grace runs from the handing out on. Those nodes are told once: a lost one would be waited for each time.
        behind = {node for each in done.moved for node in (each.old_node.id, *each.new.elsewhere)} - done.settled.keys()
        done.settled |= {each.node_id: each for each in settle(front.app, behind)}
    return worst((_report(plan, done, out), recap(done.left)))


def _one_wave(wave: Sequence[Move], done: _Done, out: Path | None, *, untested: bool) -> bool:
    """Move some people; return whether the targets were seen to serve them. Files leave only then."""
    from vpnctl.actions.people import evacuation

    result = evacuation.run_wave(current().app, wave, untested=untested)
    done.left += result.left
    done.settled |= {each.node_id: each for each in result.settled}
    if result.failed:
        return False
    done.moved += result.moved
    _hand_out(result.moved, done, out)
    return True


def _hand_out(moved: Sequence[Moved], done: _Done, out: Path | None) -> None:
    from vpnctl.actions.talk import handover
    from vpnctl.cli.deliver import hand_over

    front = current()
    sendable = [each.new for each in moved if not each.new.forgotten]
    if out is not None and sendable:
        done.rows += hand_over(front, sendable, out=out)
    sent = handover.send_anew(front.app, [each.peer.id for each in sendable])
    done.by_hand += 0 if out is not None else len(moved) - len(sent)


def _report(plan: MovingPlan, done: _Done, out: Path | None) -> int:
    front = current()
    people = {each.new.user.name for each in done.moved}
    waiting = len({move.user for move in plan.moves} - people - {each.user for each in done.left})
    goals = Counter(each.new.node.name for each in done.moved)
    spread = ", ".join(f"{output.count(count, 'device')} on {name}" for name, count in sorted(goals.items()))
    hours = front.settings.migration_grace_hours
    what = f"{output.count(len(people), 'person', 'people')} moved: {spread}" if people else ""
    if people:
        what += (
            f"; an old peer ends at the first handshake of the new one, or in {hours} h after its file was handed out"
        )
    if done.by_hand:
        devices = output.count(done.by_hand, "device")
        front.say(f"note: nobody was given the new files of {devices}: run it again with --out DIR")
    if waiting:
        front.say(
            f"{output.count(waiting, 'person', 'people')} are where they were: run it again when the target serves"
        )
    moves = [
        {"user": each.new.user.name, "device": each.new.peer.device, "node": each.new.node.name} for each in done.moved
    ]
    return output.finish(
        front,
        list(done.settled.values()),
        what,
        saved=what,
        changed=bool(people),
        moves=moves,
        peers=done.rows,
        left=done.left,
        waiting=waiting,
    )
