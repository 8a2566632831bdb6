"""The brake: time alone does not cut many people at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vpnctl.rules.access import Reason

FREE, SHARE = 10, 0.2


def held_back(
    present: Sequence[str], reasons: Mapping[str, Reason | None], *, distrust: bool = False
) -> frozenset[str]:
    """Return the ids of present peers that must stay for now: all that only time would cut, if those are too many.

    Too many is more than max(10, 20 %) of the peers present; one is too many while the clock is in `distrust`.
    What people asked for is never held back.
    """
    due = frozenset(peer for peer in present if (reason := reasons[peer]) is not None and not reason.asked)
    return due if distrust or len(due) > max(FREE, SHARE * len(present)) else frozenset()
