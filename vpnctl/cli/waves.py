"""Many people move in waves, which stop where something goes wrong: the asking, the preview, the moving, the recap."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vpnctl.cli import output
from vpnctl.cli.front import current, interruptible
from vpnctl.cli.moving import recap

if TYPE_CHECKING:
    from vpnctl.actions.outcome import Settled
    from vpnctl.actions.people.evacuation import Move, MovingPlan
    from vpnctl.actions.people.migration import Left, Moved

Out = Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Write the new files there.")]
Wave = Annotated[
    int, typer.Option("--wave", metavar="PEOPLE", min=0, help="At once; 20 or a tenth of all unless told.")
]
Untested = Annotated[
    bool, typer.Option("--untested", help="Also to a node through which packets were not seen to pass.")
]


def ask(plan: MovingPlan, how: str, out: Path | None) -> None:
    """Ask whether to move them; InvalidInput where `out` is no place for files."""
    from vpnctl.errors import InvalidInput

    if out is not None and not out.is_dir() and (out.exists() or not out.parent.is_dir()):
        raise InvalidInput(f"{out} is not a folder", f"mkdir -p {out}")
    goals = Counter(move.target for move in plan.moves)
    spread = ", ".join(f"{count} to {name}" for name, count in sorted(goals.items()))
    current().confirm(f"Move {output.count(len(plan.moves), 'person', 'people')} {how}: {spread}?")


def preview(plan: MovingPlan) -> int:
    """Show who would move; return the exit code."""
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


@dataclass(frozen=True)
class Around:
    """What else a command does beside the moving: what it did `before`, as rows, and what it does after it."""

    before: dict[str, Any] = field(default_factory=dict)
    after: Callable[[], list[Settled]] = list


def move_all(
    plan: MovingPlan, wave: int, out: Path | None, *, untested: bool, empty: str, around: Around | None = None
) -> int:
    """Move them in waves, hand the new files out, report; return the exit code. `empty`: what to say of nobody."""
    from vpnctl.actions.fleet.settle import settle
    from vpnctl.errors import worst

    front = current()
    done = _Done(left=list(plan.left))
    more = around or Around()
    if not plan.moves:
        told = "" if plan.left else empty
        rows: dict[str, Any] = {**more.before, "moves": [], "left": done.left}
        code = output.finish(front, more.after(), told, changed=bool(more.before), saved=told, **rows)
        return worst((code, recap(done.left)))
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
    done.settled |= {each.node_id: each for each in more.after()}
    return worst((_report(plan, done, out, more.before), recap(done.left)))


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


def _report(plan: MovingPlan, done: _Done, out: Path | None, more: dict[str, Any]) -> int:
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
        **more,
        changed=bool(people) or bool(more),
        moves=moves,
        peers=done.rows,
        left=done.left,
        waiting=waiting,
    )
