"""A driver reads one node and changes it. Settling knows drivers, not shells (docs/adr/0027)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib import import_module
from typing import Protocol, cast

from vpnctl.remote.panel.door import Access
from vpnctl.remote.shell import Shell
from vpnctl.rules.changes import Change
from vpnctl.rules.desired import Desired
from vpnctl.rules.observed import Observed


@dataclass(frozen=True)
class Query:
    """What to read of a node, besides what settling it in this scope needs."""

    scope: str
    proven: Mapping[str, str | None] = field(default_factory=dict)
    """Endpoint id -> digest of its file when it was last proven: with that file its server key is known."""
    paths: Mapping[str, tuple[str | None, str | None]] = field(default_factory=dict)
    """Endpoint -> free addresses (IPv4, IPv6) of a throw-away peer whose packets are to be tried."""
    secrets: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Endpoint -> identities whose shared secrets only the node knows."""
    facts: bool = False
    """What system it is."""
    health: bool = False
    """Load, memory, disk."""


@dataclass(frozen=True)
class FailedStep:
    """Which step of changing a node failed; empty where that is not known."""

    kind: str = ""
    subject: str = ""
    cause: str = ""
    """`source`: what was to be fetched is not there, or not what it should be. `package`: no source brings it."""


NO_STEP = FailedStep()


@dataclass(frozen=True)
class Applied:
    """What came of changing a node. `refused` is empty, `moved` (it is not as observed any more) or `busy`."""

    observed: Observed
    refused: str = ""
    failed: str = ""
    """The step that failed and why, without secrets; or empty."""
    step: FailedStep = NO_STEP


@dataclass(frozen=True)
class ChangeOrder:
    """What to change: the node was seen to be `observed`, and these changes of `scope` make it as `desired`."""

    desired: Desired
    observed: Observed
    changes: Iterable[Change]
    fresh: str
    """The token that tells of them."""
    scope: str
    until: datetime | None = None
    """Nothing is sent later than this to a node that keeps no token."""


class Driver(Protocol):
    """One open way to one node."""

    fences: bool
    """Whether the node itself refuses an older order (by its token); else a lease in the database must (ADR 32)."""

    def look(self, desired: Desired, query: Query) -> Observed:
        """Read the node and change nothing. Raises Unreachable, or NodeFailed when its answer makes no sense."""

    def apply(self, order: ChangeOrder, query: Query, waits: Callable[[], object] = lambda: None) -> Applied:
        """Change the node if it still is as observed, and read it again. Raises like `look`.

        `waits` is called whenever the node says that it waits for another program there.
        """

    def close(self) -> None:
        """Let go of what it opened itself; the shell is somebody else's."""


@dataclass(frozen=True)
class Way:
    """How a node is reached: its shell, None where it has none for us; and its panel, where it has one."""

    shell: Shell | None
    panel: Access | None = None


DRIVERS = {
    "node": ("vpnctl.remote.node_driver", "NodeDriver"),
    "panel": ("vpnctl.remote.panel.driver", "PanelDriver"),
}
"""Name, as endpoints keep it -> (module, class)."""


def opened(kind: str, way: Way, node: str, clock: Callable[[], datetime]) -> Driver:
    """Return the driver of that kind for a node by that name, whose way is open."""
    module, name = DRIVERS[kind]
    return cast("Driver", getattr(import_module(module), name)(way, node, clock))
