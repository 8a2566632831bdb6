"""What is wanted of a node beside what was read of it: what a settle changes, and what it leaves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from vpnctl.actions.fleet import trust
from vpnctl.actions.fleet.desired import View, desired
from vpnctl.app import App
from vpnctl.errors import NodeFailed, StateTrouble
from vpnctl.rules.brake import FREE, SHARE, held_back
from vpnctl.rules.changes import (
    PEOPLE,
    SYSTEM,
    Change,
    EndpointDown,
    FileDiffers,
    InboundOff,
    InterfaceMissing,
    OfEndpoint,
)
from vpnctl.rules.desired import Desired
from vpnctl.rules.difference import difference
from vpnctl.rules.observed import Observed
from vpnctl.store import restored

if TYPE_CHECKING:
    from vpnctl.actions.fleet.settle import Wish


@dataclass(frozen=True)
class Comparison:
    """What is wanted of a node, what was found, and the difference."""

    want: Desired
    changes: tuple[Change, ...]
    held: int
    """Peers that the brake keeps although their time is over."""
    distrust: str = ""
    """Why time may cut not even one of them; empty: they are many at once."""
    undecided: bool = False
    """It is so because the database is a restored backup."""
    notes: tuple[Change, ...] = ()
    """What is not vpnctl's to change, with advice."""


def compare(app: App, view: View, observed: Observed, wish: Wish) -> Comparison:
    """Return the difference; Distrust when the node serves with a foreign key, NodeFailed when a port is taken."""
    with app.store.read() as tx:
        undecided = view.node.id in restored.undecided(tx)
    doubt = undecided or bool(wish.distrust)
    held = frozenset() if wish.cut_all else held_back(_present(view, observed), view.reasons, distrust=doubt)
    want = desired(app, view, held, ipv6=observed.ipv6)
    want = trust.check_server_keys(app, view, want, observed)
    if len(want.sealed) > max(FREE, SHARE * len(view.peers)):
        raise StateTrouble(
            f"{view.node.name}: {len(want.sealed)} devices' secrets do not open with this key file; nothing was done",
            "bring the right key file back: vpnctl doctor",
        )
    trust.check_ports(view.node, want, observed)
    changes, notes = split(difference(want, observed, alien_identities(view), view.node.name), wish.scope)
    return Comparison(want, changes, len(held), wish.distrust, undecided, notes)


def _present(view: View, observed: Observed) -> list[str]:
    """Return the ids of our peers that are live there, or were when the node was last read: it may be down now."""
    name = {endpoint.id: endpoint.name for endpoint in view.endpoints}
    live = {name: seen.live for name, seen in observed.endpoints.items()}
    return [
        peer.id
        for peer in view.peers
        if peer.present_at is not None or peer.identity in live.get(name[peer.endpoint_id], {})
    ]


def split(changes: list[Change], scope: str) -> tuple[tuple[Change, ...], tuple[Change, ...]]:
    """Return (what this scope changes, what is not ours to change)."""
    mine = (
        change
        for change in changes
        if change.mends and (scope == SYSTEM or change.scope == PEOPLE or isinstance(change, EndpointDown))
    )
    return tuple(mine), tuple(change for change in changes if not change.mends)


def where_up(name: str, found: Comparison) -> Comparison:
    """Leave out what concerns endpoints that are down: they keep nobody's change on the others from being made."""
    rest = elsewhere(found.want, found.changes)
    if not rest:
        check_up(name, found, found.changes)
    return replace(found, changes=rest)


def elsewhere(want: Desired, changes: Iterable[Change]) -> tuple[Change, ...]:
    """Return the changes that are about no endpoint that is down."""
    every = tuple(changes)
    # Who is in an inbound that is switched off can be told all the same.
    down = {each.name for each in every if isinstance(each, EndpointDown) and not isinstance(each, InboundOff)}
    files = {each.config.path for each in want.endpoints if each.name in down}
    return tuple(
        change
        for change in every
        if not (isinstance(change, OfEndpoint) and (change.name in down or isinstance(change, InboundOff)))
        and not (isinstance(change, FileDiffers) and change.path in files)
    )


class EndpointIsDown(NodeFailed):
    """What concerns an endpoint that does not run is pending; all else on the node was seen as wanted."""


def check_up(name: str, found: Comparison, changes: Iterable[Change]) -> None:
    """People's business needs a running endpoint; starting one is the business of provision and sync.

    EndpointIsDown where nothing else is left to do; a cut that the brake holds is left to do.
    """
    every = tuple(changes)
    down = next((change for change in every if isinstance(change, EndpointDown)), None)
    if down is None:
        return
    kind = NodeFailed if found.held or elsewhere(found.want, every) else EndpointIsDown
    if isinstance(down, InboundOff):
        raise kind(
            f"{name}: the panel has {down.name} no more, or switched it off, or made of it what we do not speak",
            f"vpnctl node panel {name} shows it; bring it back there, or: vpnctl endpoint remove {name} {down.name}",
        )
    how = "not up" if isinstance(down, InterfaceMissing) else "not running"
    raise kind(f"{name}: {down.name} is {how}", f"vpnctl node sync {name}")


def alien_identities(view: View) -> list[str]:
    """Return the identities of peers that are nobody's and were met there."""
    return [alien.identity for alien in view.aliens]
