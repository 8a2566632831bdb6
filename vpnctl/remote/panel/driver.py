"""The driver of nodes whose endpoints are inbounds of a 3x-ui panel."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from vpnctl.errors import NodeFailed
from vpnctl.protocols.panel import orders
from vpnctl.protocols.panel.inbounds import OURS, Inbound
from vpnctl.protocols.panel.plugin import head
from vpnctl.remote.driver import Applied, ChangeOrder, Query, Way
from vpnctl.remote.node_driver import NodeDriver
from vpnctl.remote.panel.api import OTHER_API, Api, PanelSaid
from vpnctl.remote.panel.door import Cut, Door, Guard
from vpnctl.remote.panel.https import HttpsDoor
from vpnctl.remote.panel.shell import ShellDoor
from vpnctl.rules.changes import Change
from vpnctl.rules.desired import Desired, WantedEndpoint
from vpnctl.rules.observed import Observed, SeenEndpoint

_EPOCH = "panel"
"""What stands for the boot: a panel keeps its counters over one."""


class PanelDriver:
    """See `Driver`. The panel is asked through the node's shell where there is one, else over TLS."""

    def __init__(self, way: Way, name: str, clock: Callable[[], datetime]) -> None:
        if way.panel is None:
            raise NodeFailed(f"{name}: nobody said where its panel is", f"vpnctl node panel {name}")
        self._door: Door = HttpsDoor(way.panel, name) if way.shell is None else ShellDoor(way.shell, name)
        self._server = None if way.shell is None else NodeDriver(way, name, clock)
        self._api = Api(self._door, way.panel, name)
        self._name, self._clock = name, clock
        self._found: dict[int, Inbound] = {}
        self.fences = self._door.fences

    def inbounds(self) -> Sequence[Inbound]:
        """Return all inbounds of the panel."""
        return self._api.inbounds().found

    def look(self, desired: Desired, query: Query) -> Observed:
        """See `Driver.look`. Of the server itself, only its state of health is read, where there is a shell."""
        begun = self._clock()
        seen = self._observed(desired, self._api.inbounds(), begun)
        if self._server is None or not (query.health or query.facts):
            return seen
        asked = Query(query.scope, facts=query.facts, health=query.health)
        server = self._server.look(Desired((), (), ()), asked)
        facts = {name: value for name, value in server.facts.items() if name in ("health", "os", "systemd", "apt")}
        return replace(seen, facts=facts)

    def apply(self, order: ChangeOrder, _query: Query, _waits: Callable[[], object] = lambda: None) -> Applied:
        """See `Driver.apply`."""
        hwids = self._hwids(order)
        guard = Guard(order.observed.token, order.fresh) if self.fences else None
        told = self._send(order, hwids, guard, apart=self._apart(order.desired))
        if told.exchanged.refused:
            return Applied(order.observed, told.exchanged.refused)
        if told.taken and not any(told.taken) and self._unknown(told):
            guard = Guard(order.fresh, order.fresh) if self.fences else None
            told = self._send(order, hwids, guard, apart=not self._apart(order.desired))
        if not told.whole:
            return Applied(order.observed, failed="that took longer than it may")
        missed = len(told.taken) - sum(told.taken)
        failed = f"the panel did not take {missed} of {len(told.taken)} requests" if missed else ""
        return Applied(self._observed(order.desired, told, self._clock()), failed=failed)

    def close(self) -> None:
        """See `Driver.close`."""
        self._door.close()

    def _send(self, order: ChangeOrder, hwids: dict[str, int], guard: Guard | None, *, apart: bool) -> PanelSaid:
        changes = list(order.changes)
        said = [
            request
            for want in order.desired.endpoints
            if want.inbound in self._found
            for request in orders.requests(want, self._found, changes, hwids, apart=apart)
        ]
        cuts = [
            Cut(seen.port, names)
            for want in order.desired.endpoints
            if (seen := self._found.get(want.inbound or 0)) is not None and (names := self._cut(changes, want, seen))
        ]
        return self._api.tell(said, guard, lambda: order.until is None or self._clock() < order.until, cuts)

    def _cut(self, changes: Sequence[Change], want: WantedEndpoint, seen: Inbound) -> list[str]:
        """Return the names, as the panel's core notes them, of those whose connections end."""
        names = (str(seen.clients[each]["email"]) for each in orders.cut(changes, want) if each in seen.clients)
        return [each for each in names if each.isprintable() and " " not in each]

    def _apart(self, desired: Desired) -> bool:
        """Return whether the panel has clients apart from inbounds: then it nests an inbound's settings."""
        ours = [self._found[each.inbound] for each in desired.endpoints if each.inbound in self._found]
        return any(each.nested for each in ours)

    def _hwids(self, order: ChangeOrder) -> dict[str, int]:
        """Return limits that newer panels keep in a record of each client, and would forget when it is written."""
        if not self._apart(order.desired):
            return {}
        changes = list(order.changes)
        names = [each for want in order.desired.endpoints for each in orders.updated(changes, want)]
        if not names:
            return {}
        replies = self._api.ask([orders.read_record(each) for each in names]).replies
        records = (self._api.record(each).get("client") for each in replies)
        limits = {name: _limit(record) for name, record in zip(names, records, strict=False)}
        return {name: limit for name, limit in limits.items() if limit}

    def _unknown(self, told: PanelSaid) -> bool:
        return all(each.status in OTHER_API for each in told.exchanged.replies[:-1])

    def _observed(self, desired: Desired, told: PanelSaid, begun: datetime) -> Observed:
        self._found = {each.number: each for each in told.found}
        files, endpoints = {}, {}
        ours = {
            identity: (each.number, peer)
            for each in told.found
            for identity, peer in each.peers.items()
            if OURS.fullmatch(identity)
        }
        for want in desired.endpoints:
            seen = None if want.inbound is None else self._found.get(want.inbound)
            if seen is None:
                continue
            if seen.options:
                file = head(seen.port, seen.options, seen.password)
                files[file.path] = (file.digest, file.mode)
            uncut = told.exchanged.left.get(seen.port, 0) != 0  # what the kernel did not end now, it never will
            endpoints[want.name] = SeenEndpoint(
                want.identity,
                seen.port,
                dict(seen.peers),
                off=not seen.enabled or not seen.options,
                strays={name: peer for name, (number, peer) in ours.items() if number != want.inbound},
                uncut=uncut,
            )
        clock = told.exchanged.clock if told.exchanged.clock is not None else int(begun.timestamp())
        return Observed(told.exchanged.token, _EPOCH, clock, files, frozenset(), endpoints, begun)


def _limit(record: object) -> int:
    found = record.get("limitHwid") if isinstance(record, Mapping) else None
    return found if isinstance(found, int) and not isinstance(found, bool) else 0
