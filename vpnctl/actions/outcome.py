"""What a verb hands to settle and to the front, and what settle hands back."""

from __future__ import annotations

from dataclasses import dataclass

from vpnctl.app import App
from vpnctl.rules.changes import Change
from vpnctl.store.events import Stamp


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


def stamp(app: App) -> Stamp:
    """Return the stamp of an event that happens now."""
    return Stamp(app.clock(), app.actor, app.run_id)
