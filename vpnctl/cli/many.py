"""Many at once: names from the line, a file, or a selection; a preview, one question, and how to take it back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from vpnctl.actions.outcome import Concerning, Settled
from vpnctl.app import App
from vpnctl.cli import output
from vpnctl.cli.front import current
from vpnctl.cli.lines import read_lines

if TYPE_CHECKING:
    from vpnctl.actions.bulk import Many
    from vpnctl.actions.outcome import Done

PLURALS = {"person": "people", "device": "devices"}
D = TypeVar("D", bound=Concerning)
Where = Annotated[
    str | None,
    typer.Option(
        "--where", metavar="KEY=VALUE,…", help="Many: plan, node, region, protocol, device, user=al* and so on."
    ),
]
Listed = Annotated[Path | None, typer.Option("--list", metavar="FILE", help="Many: one a line; - for stdin.")]


def meant(name: str | None, where: str | None, listed: Path | None, *, devices: bool) -> list[str]:
    """Return the people or devices that a command means. InvalidInput unless exactly one way names them."""
    from vpnctl.errors import InvalidInput
    from vpnctl.rules import selection
    from vpnctl.store import selecting

    if sum(each is not None for each in (name, where, listed)) != 1:
        raise InvalidInput("whom?", "one name, or --where KEY=VALUE, or --list FILE")
    if name is not None:
        return [name]
    if listed is not None:
        return read_lines(listed)
    app = current().app
    which = selection.parse(where or "")
    with app.store.read() as tx:
        return (selecting.devices if devices else selecting.people)(tx, which, app.clock())


def carry_out_for_many(
    names: Sequence[str], verb: Callable[[App, str], D], what: str, noun: str, *, dry_run: bool, wait: int = 0
) -> int:
    """Do it for all of them after one question, settle once, and say for whom it was not done (exit 5)."""
    from vpnctl.actions import bulk
    from vpnctl.cli.carry import Told, carry_out
    from vpnctl.errors import worst

    front = current()
    if not names:
        return output.finish(front, [], f"that means no {noun}", changed=False, done=[], not_done=[])
    count = output.count(len(names), noun, PLURALS[noun])
    kept: list[Many[D]] = []
    if not dry_run:
        front.confirm(f"{what}: {count}, such as {', '.join(names[:3])}?")

    def work(app: App) -> Done[Many[D]]:
        result = bulk.each(app, names, verb)
        kept[:] = [result.made]
        return result

    def tell(done: Done[Many[D]], _: Sequence[Settled]) -> Told:
        made = done.made
        count = output.count(len(made.done), noun, PLURALS[noun])
        said = f"{what}: {count}; to take it back: vpnctl event undo {front.app.run_id[:8]}"
        rows: dict[str, Any] = {"done": list(made.done), "not_done": made.not_done, "run": front.app.run_id}
        return Told(said, rows, changed=bool(made.done), saved=said)

    def foretell(done: Done[Many[D]]) -> None:
        front.say(f"would be {what}: {', '.join(done.made.done) or 'nobody'}")

    code = carry_out(work, tell, dry_run=dry_run, foretell=foretell, wait=wait)
    left = kept[0].not_done if kept else ()
    if not front.json:
        for each in left:
            front.say(f"not done for {each.name}: {each.why}")
            front.say(f"    {each.hint}")
        if left and kept[0].done:
            front.say("do not run it again for all of them: the others are done")
    return worst((code, 5 if left else 0))
