"""What a verb hands to settle and to the front (`Done`), and what settle hands back (`Settled`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, Protocol, TypeVar

from vpnctl.app import App
from vpnctl.rules.changes import Change
from vpnctl.store.events import Stamp

T_co = TypeVar("T_co", covariant=True)


class Concerning(Protocol):
    """What a verb returns: whatever it is, it names the nodes that have to hear of it."""

    @property
    def node_ids(self) -> Sequence[str]:
        """Ids of nodes."""


@dataclass(frozen=True)
class Done(Generic[T_co]):
    """What a verb wrote, and the ids of the nodes that have to hear of it."""

    made: T_co
    node_ids: Sequence[str]


class Reach(StrEnum):
    """How much of a change was seen on a node that is not as it should be."""

    NOT = "no"
    """It is saved, and pending."""
    ELSEWHERE = "elsewhere"
    """All but what concerns an endpoint that does not run: that is pending."""
    ALL = "yes"


@dataclass(frozen=True)
class Settled:
    """How one node came out. `code` is 0 (seen to agree), 3 (saved, pending), 6 (brake) or 7 (trust)."""

    node_id: str
    node: str
    code: int
    changes: tuple[Change, ...] = ()
    error: str = ""
    hint: str = ""
    notes: tuple[Change, ...] = ()
    """What is not as it should be there and is not vpnctl's to change, each with its advice."""
    done: Reach = Reach.NOT
    """Where `error` says that something is wrong: how much was seen as it is wanted all the same."""


def stamp(app: App) -> Stamp:
    """Return the stamp of an event that happens now."""
    return Stamp(app.clock(), app.actor, app.run_id)
