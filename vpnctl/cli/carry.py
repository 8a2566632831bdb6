"""Verb, settle, report: once for every command that changes something, `--dry-run` included."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from vpnctl.actions.outcome import Concerning, Settled
from vpnctl.app import App
from vpnctl.cli import output
from vpnctl.cli.front import current, interruptible
from vpnctl.errors import PENDING

if TYPE_CHECKING:
    from vpnctl.actions.fleet.settle import Wish

PAUSE = 5.0
"""Seconds between two looks at a node that did not answer."""

D = TypeVar("D", bound=Concerning)


@dataclass(frozen=True)
class Told:
    """What a command says when every node was seen to agree, and its rows for `--json`."""

    what: str
    rows: dict[str, Any] = field(default_factory=dict)
    changed: bool = True
    saved: str = ""
    """What holds although a node is pending."""


def carry_out(
    verb: Callable[[App], D],
    tell: Callable[[D, Sequence[Settled]], Told],
    *,
    dry_run: bool = False,
    wish: Wish | None = None,
    foretell: Callable[[D], None] | None = None,
    wait: int = 0,
) -> int:
    """Run a verb, settle the nodes that it concerns, report; return the exit code.

    Nodes that are pending are tried again for `wait` seconds. With `dry_run` the verb is rehearsed, the nodes are only
    looked at, and `foretell` adds what else would be.
    """
    from vpnctl.actions.fleet.settle import settle

    front = current()
    if dry_run:
        return rehearsed(verb, wish=wish, foretell=foretell)
    done = verb(front.app)
    settled = settle(front.app, done.node_ids, wish)
    with interruptible("it is saved, and made as soon as the node answers: vpnctl status"):
        settled = _patiently(settled, wish, wait)
    told = tell(done, settled)
    return output.finish(front, settled, told.what, changed=told.changed, saved=told.saved, **told.rows)


def _patiently(settled: list[Settled], wish: Wish | None, seconds: int) -> list[Settled]:
    """Settle pending nodes again and again until they agree, at most for so long."""
    from vpnctl.actions.fleet.settle import settle

    front, end = current(), time.monotonic() + seconds
    while (left := [each.node_id for each in settled if each.code == PENDING]) and time.monotonic() < end:
        names = ", ".join(each.node for each in settled if each.code == PENDING)
        with front.app.progress(f"waiting for {names}", 1):
            time.sleep(min(PAUSE, max(0.0, end - time.monotonic())))
        again = {each.node_id: each for each in settle(front.app, left, wish)}
        settled = [again.get(each.node_id, each) for each in settled]
    return settled


def rehearsed(
    verb: Callable[[App], D], *, wish: Wish | None = None, foretell: Callable[[D], None] | None = None
) -> int:
    """Show what a verb would change on nodes, and change nothing; return the exit code."""
    from vpnctl.actions.fleet.preview import rehearse

    front = current()
    would: list[D] = []

    def trial(app: App) -> Sequence[str]:
        would.append(verb(app))
        return would[0].node_ids

    code = output.show_preview(front, rehearse(front.app, trial, replace(wish, prove=False) if wish else None))
    if foretell is not None and not front.json:
        foretell(would[0])
    return code
