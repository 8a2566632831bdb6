"""From what people type to rows, or an error that says what exists."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

import sqlalchemy as sa

from vpnctl.errors import Conflict, NotFound
from vpnctl.rules import grammar
from vpnctl.store import models
from vpnctl.store.engine import Tx
from vpnctl.store.rows import Endpoint, Node, Peer, User


def node(tx: Tx, name: str) -> Node:
    """Return the node of that name; NotFound when there is none (any more)."""
    table = models.node.c
    found = tx.one(Node, table.name == grammar.name(name, "node name"), table.retired_at.is_(None))
    if found is None:
        raise NotFound(f"there is no node {name!r}", _hint(tx, name, table.name, table.retired_at, "node"))
    return found


def nodes(tx: Tx, names: Sequence[str]) -> list[Node]:
    """Return the named nodes, or all that are not retired when none is named."""
    if names:
        return [node(tx, name) for name in names]
    return tx.all(Node, models.node.c.retired_at.is_(None), order=models.node.c.name)


def user(tx: Tx, name: str) -> User:
    """Return the user of that name; NotFound when there is none (any more)."""
    table = models.user.c
    found = tx.one(User, table.name == grammar.name(name, "user name"), table.removed_at.is_(None))
    if found is None:
        raise NotFound(f"there is no user {name!r}", _hint(tx, name, table.name, table.removed_at, "user"))
    return found


def endpoint(tx: Tx, owner: Node, name: str) -> Endpoint:
    """Return the endpoint of that name on a node."""
    table = models.endpoint.c
    found = tx.one(
        Endpoint,
        table.node_id == owner.id,
        table.name == grammar.interface(name),
        table.removed_at.is_(None),
    )
    if found is None:
        raise NotFound(f"node {owner.name} has no endpoint {name!r}", f"vpnctl endpoint list {owner.name}")
    return found


def endpoints(tx: Tx, owner: Node) -> list[Endpoint]:
    """Return the endpoints of a node."""
    table = models.endpoint.c
    return tx.all(Endpoint, table.node_id == owner.id, table.removed_at.is_(None), order=table.name)


def peer(tx: Tx, text: str) -> tuple[User, Peer]:
    """Return the live peer that `USER[/DEVICE][@NODE]` names. While a migration has two, the newer one is meant."""
    ref = grammar.peer_ref(text)
    owner = user(tx, ref.user)
    table = models.peer.c
    named = [table.user_id == owner.id]
    if ref.device:
        named.append(table.device == ref.device)
    if ref.node:
        named.append(table.endpoint_id.in_(_on(tx, ref.node)))
    where = [*named, table.revoked_at.is_(None)]
    found = tx.all(Peer, *where, order=table.device)
    current = [each for each in found if each.retiring_at is None] or found
    if not current:
        _refuse_uncut(f"{ref}", _uncut(tx, *named, table.revoked_at.is_not(None), table.absent_at.is_(None)))
        again = f"{owner.name}/{ref.device}" if ref.device else owner.name
        raise NotFound(
            f"{ref} has no live peer",
            f"vpnctl peer list --user {owner.name}   or: vpnctl peer add {again}",
        )
    if len(current) > 1:
        names = ", ".join(sorted(f"{owner.name}/{each.device}" for each in current))
        raise Conflict(f"{ref} has several peers", f"name one: {names}")
    return owner, current[0]


def _uncut(tx: Tx, *where: sa.ColumnElement[bool]) -> list[str]:
    """Return the names of the living nodes with such peers."""
    query = (
        sa.select(models.node.c.name)
        .join(models.endpoint, models.endpoint.c.node_id == models.node.c.id)
        .join(models.peer, models.peer.c.endpoint_id == models.endpoint.c.id)
        .where(*where, models.node.c.retired_at.is_(None))
    )
    return sorted(set(tx.execute(query).scalars()))


def _refuse_uncut(named: str, nodes: list[str]) -> None:
    """Raise Conflict where what is named was revoked and is not seen cut yet: that is no news, but not done either."""
    if nodes:
        raise Conflict(
            f"{named} is revoked already, but not seen cut on {', '.join(nodes)} yet: it may still pass traffic",
            f"vpnctl node sync {' '.join(nodes)}",
        )


def generations(tx: Tx, text: str, *, everywhere: bool = False) -> tuple[User, list[Peer]]:
    """Return every live peer of the device that `text` names, the current one first.

    While a device is being moved or renewed it has several, and a word about the device means all of them; `@NODE`
    means those on that node, unless all `everywhere` are asked for.
    """
    owner, current = peer(tx, text)
    table = models.peer.c
    where = [table.user_id == owner.id, table.device == current.device, table.revoked_at.is_(None)]
    ref = grammar.peer_ref(text)
    if ref.node and not everywhere:
        where.append(table.endpoint_id.in_(_on(tx, ref.node)))
    return owner, [current, *tx.all(Peer, *where, table.id != current.id, order=table.created_at)]


def _on(tx: Tx, name: str) -> sa.Select[tuple[str]]:
    return sa.select(models.endpoint.c.id).where(models.endpoint.c.node_id == node(tx, name).id)


def _hint(tx: Tx, name: str, column: sa.Column[str], dead: sa.Column[object], noun: str) -> str:
    names = list(tx.execute(sa.select(column).where(dead.is_(None)).order_by(column).limit(500)).scalars())
    if not names:
        return f"vpnctl user add {name}" if noun == "user" else f"vpnctl node add {name} [USER@]HOST --provision"
    close = get_close_matches(name, names, 3)
    return f"did you mean {' or '.join(close)}?" if close else f"vpnctl {noun} list"
