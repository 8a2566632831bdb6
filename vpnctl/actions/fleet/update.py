"""Bringing packages and cores of nodes to other versions: one node first, proven by packets; back where it fails."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import PurePosixPath

from vpnctl.actions.fleet.desired import View, desired, load
from vpnctl.actions.fleet.driving import shell
from vpnctl.actions.fleet.settle import Wish, settle
from vpnctl.actions.fleet.side_by_side import side_by_side
from vpnctl.actions.outcome import Settled, stamp
from vpnctl.actions.people import residents
from vpnctl.app import App
from vpnctl.errors import Conflict, InvalidInput, VpnctlError
from vpnctl.remote import updating
from vpnctl.remote.shell import Shell
from vpnctl.remote.updating import NothingTaken, Version
from vpnctl.rules.changes import SYSTEM
from vpnctl.rules.desired import Desired
from vpnctl.store import events, find, models
from vpnctl.store.rows import HTTPS, Node


@dataclass(frozen=True)
class Available:
    """What a node has and could have. `error`: why it could not be read."""

    node: Node
    newer: tuple[Version, ...] = ()
    """What would change."""
    known: frozenset[str] = frozenset()
    """Names of all that is ours there."""
    begun: bool = False
    """An update was begun there, and a killed run has neither kept it nor taken it back."""
    error: str = ""
    code: int = 0


class UpdateFate(StrEnum):
    """What became of an update."""

    UPDATED = "updated"
    UNWELL = "not touched"
    """The node did not agree, or packets did not pass, before anything was changed."""
    UNFINISHED = "not finished"
    """It is updated, and did not answer at last: the next run ends it."""
    BACK = "gone back"
    STUCK = "not gone back"
    """It failed, and so did the way back."""


@dataclass(frozen=True)
class Updated:
    """How a node came out; `error` and `code` say what was wrong, also where it went back."""

    node: str
    fate: UpdateFate
    changed: tuple[Version, ...] = ()
    error: str = ""
    code: int = 0


def available(app: App, names: Sequence[str], only: Mapping[str, str]) -> list[Available]:
    """Return what these nodes could have newer: in the order of `names`, or those with fewest devices first.

    `only`: of these packages and programs, in these versions; an empty version is the newest. Empty: of all that is
    ours there.
    """
    with app.store.read() as tx:
        load_of = residents.load(tx)
        nodes = [find.node(tx, name) for name in dict.fromkeys(names)] or sorted(
            tx.all(Node, models.node.c.retired_at.is_(None)), key=lambda node: (load_of.get(node.id, 0), node.name)
        )
        shut = next((node.name for node in nodes if names and node.kind == HTTPS), None)
        if shut is not None:
            raise Conflict(f"{shut} is a panel, and all of it that we reach", "its keeper updates it")
        views = [load(tx, node.id, app.clock(), people=False) for node in nodes if node.kind != HTTPS]

    def one(view: View) -> Available:
        try:
            return _available(app, view, only)
        except InvalidInput:
            raise
        except VpnctlError as error:
            return Available(view.node, error=error.what, code=error.code)

    found = side_by_side(app, one, views)
    unknown = sorted(only.keys() - frozenset().union(*(each.known for each in found)))
    if unknown and not any(each.error for each in found):
        raise InvalidInput(f"no node has {unknown[0]} of ours", "vpnctl node update --dry-run shows what there is")
    return found


def _available(app: App, view: View, only: Mapping[str, str]) -> Available:
    want = desired(app, view)
    cores = {each.program for each in want.archives}
    named = next((name for name, version in only.items() if version and name in cores), None)
    if named is not None:
        how = f"the setting {named}_archive names another one"
        raise InvalidInput(f"{named} comes from an archive, not in versions", how)
    packages = [name for name, _ in want.packages]
    with _opened(app, view.node) as opened:
        seen = updating.look(opened, view.node.name, packages, want.archives)
    known = frozenset(cores.union(packages))
    if seen.begun:
        return Available(view.node, seen.found, known, begun=True)
    wanted = [replace(each, then=only.get(each.name) or each.then) for each in seen.found]
    newer = [each for each in wanted if each.now != each.then and (not only or each.name in only)]
    return Available(view.node, tuple(newer), known)


def roll_out(
    app: App, targets: Sequence[Available], pause: Callable[[], None], wave: int, *, one_way: bool = False
) -> list[Updated]:
    """Update the first node, `pause`, see packets pass again, then the others, `wave` at once; stop where one fails.

    Returns how each node came out that was touched.
    """
    first, rest = targets[0], targets[1:]
    done = update(app, first, one_way=one_way)
    if done.fate is UpdateFate.UPDATED:
        pause()
        done = prove(app, first, done)
        done = keep(app, first, done) if done.fate is UpdateFate.UPDATED else done
    outcomes = [done]
    while rest and all(each.fate is UpdateFate.UPDATED for each in outcomes):
        part, rest = rest[:wave], rest[wave:]
        outcomes += side_by_side(app, lambda each: _whole(app, each, one_way=one_way), part)
    return outcomes


def _whole(app: App, each: Available, *, one_way: bool) -> Updated:
    done = update(app, each, one_way=one_way)
    return keep(app, each, done) if done.fate is UpdateFate.UPDATED else done


def update(app: App, each: Available, *, one_way: bool = False) -> Updated:
    """Bring one node to its newer versions and see packets pass; the way back is kept until `keep`.

    Where it fails it is brought back, and that is proven too. Run again after a crash, it goes on.
    """
    name = each.node.name
    if not each.begun:
        before = _proof(app, each.node)
        if before.code:
            return Updated(name, UpdateFate.UNWELL, error=before.error, code=before.code)
    try:
        with _opened(app, each.node) as way:
            updating.take(way, name, each.newer, _units(app, each.node, each.newer), one_way=one_way)
        after = _proof(app, each.node)
        error, code = after.error, after.code
    except NothingTaken as failure:
        return Updated(name, UpdateFate.UNWELL, error=failure.what, code=failure.code)
    except VpnctlError as failure:
        error, code = failure.what, failure.code
    return back(app, each, error, code) if code else Updated(name, UpdateFate.UPDATED, each.newer)


def prove(app: App, each: Available, done: Updated) -> Updated:
    """See once more that packets pass, and take the node back where they do not."""
    again = _proof(app, each.node)
    return back(app, each, again.error, again.code) if again.code else done


def back(app: App, each: Available, error: str, code: int) -> Updated:
    """Bring back what the node had, and see packets pass."""
    try:
        with _opened(app, each.node) as way:
            updating.back(way, each.node.name)
        proof = _proof(app, each.node)
        if proof.code == 0:
            with _opened(app, each.node) as way:
                updating.forget(way, each.node.name)
            return Updated(each.node.name, UpdateFate.BACK, error=error, code=code)
        error = f"{error}; and on the way back: {proof.error}"
    except VpnctlError as failure:
        error = f"{error}; and on the way back: {failure.what}"
    return Updated(each.node.name, UpdateFate.STUCK, error=error, code=code)


def keep(app: App, each: Available, done: Updated) -> Updated:
    """Let go of the way back, and note what was changed."""
    try:
        with _opened(app, each.node) as way:
            updating.forget(way, each.node.name)
    except VpnctlError as failure:
        error = f"it serves, and the way back is still kept there: {failure.what}"
        return replace(done, fate=UpdateFate.UNFINISHED, error=error, code=failure.code)
    with app.store.write() as tx:
        subject = ("node", each.node.id, each.node.name)
        was = {version.name: version.now for version in done.changed}
        now = {version.name: version.then for version in done.changed}
        events.record(tx, stamp(app), "node.update", subject, was, now)
    return done


@contextlib.contextmanager
def _opened(app: App, node: Node) -> Iterator[Shell]:
    with shell(app, node) as found:
        assert found is not None  # noqa: S101 - nodes behind HTTPS were left out
        yield found


def _proof(app: App, node: Node) -> Settled:
    return settle(app, [node.id], Wish(scope=SYSTEM, always=True, prove=True))[0]


def _units(app: App, node: Node, changed: Collection[Version]) -> list[str]:
    """Return the units that run one of these programs: they are started anew. Interfaces need no such thing."""
    with app.store.read() as tx:
        want: Desired = desired(app, load(tx, node.id, app.clock(), people=False))
    brought = {program for name, program in want.packages if name in {each.name for each in changed}}
    brought |= {each.name for each in changed if each.archive is not None}
    cores = [each for each in want.endpoints if not each.removed and each.interface is None]
    return sorted(each.unit for each in cores if PurePosixPath(each.tool).name in brought)
