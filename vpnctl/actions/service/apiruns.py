"""Changes that are asked for over the API: each is done once, and what became of it on the nodes can be followed.

The change, what its answer shows, and the caller's idempotency key are one commit. Killed before it, nothing happened,
and the request may be sent again; killed after it, the same request finds what was done.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import TypeVar

from vpnctl.actions.outcome import Concerning
from vpnctl.app import App
from vpnctl.errors import Conflict, NotFound
from vpnctl.rules.grammar import clean
from vpnctl.store import models
from vpnctl.store.engine import Tx
from vpnctl.store.queue import pending_nodes
from vpnctl.store.rows import Node
from vpnctl.store.serving_rows import ApiKey, ApiRun

D = TypeVar("D", bound=Concerning)
_table = models.api_run.c


@dataclass(frozen=True)
class ApiRequest:
    """Who asks for what: their key, their idempotency key (None: none), and the SHA-256 of the request, in hex."""

    key: ApiKey
    idempotency_key: str | None
    digest: str


@dataclass(frozen=True)
class Shown:
    """What an answer shows: rows of a kind, by id. They are read when it is given, as they were observed by then."""

    kind: str
    ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class UnsettledNode:
    """A node that was not seen to agree yet, and why that is where it is known."""

    node: str
    why: str


def ask(app: App, asked: ApiRequest, verb: Callable[[App], D], shown: Callable[[D], Shown]) -> ApiRun:
    """Do it, unless that was done under the same idempotency key before; return the run.

    Raises what the verb raises, and Conflict when the idempotency key was used for another request.
    """
    with app.store.joint() as store, store.read() as tx:
        before = _before(tx, asked)
        if before is not None:
            return before
        acting = replace(app, store=store, actor=f"api:{asked.key.name}")
        done = verb(acting)
        run = ApiRun(
            id=app.run_id,
            api_key_id=asked.key.id,
            idempotency_key=asked.idempotency_key,
            digest=asked.digest,
            node_ids=sorted(set(done.node_ids)),
            shows=asdict(shown(done)),
            created_at=app.clock(),
        )
        tx.insert(run)
        return run


def _before(tx: Tx, asked: ApiRequest) -> ApiRun | None:
    if asked.idempotency_key is None:
        return None
    found = tx.one(ApiRun, _table.api_key_id == asked.key.id, _table.idempotency_key == asked.idempotency_key)
    if found is not None and found.digest != asked.digest:
        raise Conflict("this idempotency key was used for another request", "take a new one for each request")
    return found


def named(tx: Tx, key: ApiKey, run_id: str) -> ApiRun:
    """Return a run of this key. Raises NotFound."""
    found = tx.one(ApiRun, _table.id == run_id, _table.api_key_id == key.id)
    if found is None:
        raise NotFound(f"there is no run {clean(run_id)} of this key", "runs are kept for 30 days")
    return found


def waiting(tx: Tx, run: ApiRun, now: datetime) -> list[UnsettledNode]:
    """Return the nodes of a run that are not known to agree with the database; a later change counts too."""
    left = [node_id for node_id in run.node_ids if pending_nodes(tx, now, node_id)]
    rows = tx.all(Node, models.node.c.id.in_(left), order=models.node.c.name) if left else []
    return [UnsettledNode(row.name, row.last_error or "") for row in rows]
