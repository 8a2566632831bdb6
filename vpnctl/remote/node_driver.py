"""The driver of servers of ours: the node script over a shell."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from vpnctl.errors import NodeFailed
from vpnctl.remote import node, plan
from vpnctl.remote.driver import Applied, ChangeOrder, Query, Way
from vpnctl.rules.desired import Desired
from vpnctl.rules.observed import Observed


class NodeDriver:
    """See `Driver`."""

    fences = True

    def __init__(self, way: Way, name: str, clock: Callable[[], datetime]) -> None:
        if way.shell is None:
            raise NodeFailed(f"{name}: its panel is all of it that we can reach", f"vpnctl node show {name}")
        self._shell, self._name, self._clock = way.shell, name, clock

    def look(self, desired: Desired, query: Query) -> Observed:
        """See `Driver.look`; a test by packets leaves nothing behind."""
        return self._call(plan.NodePlan(()), desired, query).observed

    def apply(self, order: ChangeOrder, query: Query, waits: Callable[[], object] = lambda: None) -> Applied:
        """See `Driver.apply`."""
        answer = self._call(plan.apply(order), order.desired, query, waits)
        files = [want.config for want in order.desired.endpoints]
        return Applied(answer.observed, answer.refused, node.scrubbed(answer.failed, files), answer.step)

    def close(self) -> None:
        """Nothing of its own is open."""

    def _call(
        self, orders: plan.NodePlan, desired: Desired, query: Query, waits: Callable[[], object] = lambda: None
    ) -> node.ScriptAnswer:
        target = node.Target(self._shell, self._name, {each.name: each.protocol for each in desired.endpoints})
        return node.call(target, orders, _lines(desired, query), self._clock(), waits)


def _lines(desired: Desired, query: Query) -> tuple[str, ...]:
    return (
        *plan.look(desired, query.scope, query.proven),
        *plan.paths(desired, query.paths),
        *plan.shared(desired, query.secrets),
        *(["look-facts"] if query.facts else []),
        *(["look-health"] if query.health else []),
    )
