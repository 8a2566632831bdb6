"""The meaning of what our part of the node script says of a core."""

from __future__ import annotations

import re
from collections.abc import Sequence

from vpnctl.errors import InvalidInput
from vpnctl.rules import grammar
from vpnctl.rules.observed import SeenPeer, SeenShared, counter
from vpnctl.rules.secret import Secret

_TAG = re.compile(r"[\x21-\x7e\u00a0-\uffff ]{1,44}")
_HELD = re.compile(r"[\x21-\x7e]{1,128}")
_HEAD, _FIELDS = 2, 5


def observe(said: Sequence[str]) -> tuple[str, int, dict[str, SeenPeer]]:
    """Return (identity, port, peers): first the endpoint itself, then people.

    These are: tag, secret or word, received, sent, when the node saw that they had something open or `-`.
    """
    rows = [line.split("\t") for line in said]
    if not rows or len(rows[0]) != _HEAD or any(len(row) != _FIELDS for row in rows[1:]):
        raise ValueError("a record that is none")
    peers = {}
    for tag, held, up, down, at in rows[1:]:
        if not _TAG.fullmatch(tag):
            raise ValueError("a tag that is none")
        peers[tag] = SeenPeer(
            tag, _shared(held), frozenset(), counter(at) if at != "-" else None, counter(up), counter(down)
        )
    identity, port = rows[0]
    try:
        return grammar.key(identity), int(port[:5]), peers
    except InvalidInput:
        raise ValueError("a key that is none") from None


def _shared(text: str) -> Secret | SeenShared:
    return SeenShared(text) if text in tuple(SeenShared) else credentials(text)


def credentials(text: str) -> Secret:
    """Return what a core holds of somebody. Raises ValueError for what cannot be that."""
    if not _HELD.fullmatch(text):
        raise ValueError("credentials that are none")
    return Secret(text)
