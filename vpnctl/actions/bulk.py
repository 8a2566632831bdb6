"""One verb for many, in one transaction: whoever it cannot be done for is named, all others are done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from vpnctl.actions.outcome import Concerning, Done
from vpnctl.app import App
from vpnctl.errors import Conflict, InvalidInput, NotFound

D = TypeVar("D", bound=Concerning)


@dataclass(frozen=True)
class NotDone:
    """For whom something was not done, and why, with what to type."""

    name: str
    why: str
    hint: str


@dataclass(frozen=True)
class Many(Generic[D]):
    """What came of a verb for many: by name what was done, and for whom it was not."""

    done: dict[str, D]
    not_done: tuple[NotDone, ...]


def each(app: App, names: Sequence[str], verb: Callable[[App, str], D]) -> Done[Many[D]]:
    """Run a verb for each name. Not to be run again for those who are done: a verb may add once more."""
    done: dict[str, D] = {}
    not_done: list[NotDone] = []
    with app.store.joint() as store:
        for name in dict.fromkeys(names):
            try:
                done[name] = verb(replace(app, store=store), name)
            except (Conflict, InvalidInput, NotFound) as error:
                not_done.append(NotDone(name, error.what, error.hint))
    return Done(Many(done, tuple(not_done)), sorted({node for made in done.values() for node in made.node_ids}))
