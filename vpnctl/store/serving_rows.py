"""Rows of what serves others; like `store.rows`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

import sqlalchemy as sa

from vpnctl.store import models


@dataclass(frozen=True, kw_only=True)
class PersonalLink:
    """A person's link, under which their apps fetch their devices. `digest` is SHA-256 of its secret part, in hex."""

    table: ClassVar[sa.Table] = models.link
    user_id: str
    digest: str
    token_sealed: str
    created_at: datetime
    fetched_at: datetime | None = None
    """The day of the last fetch is all that is kept of it."""


@dataclass(frozen=True, kw_only=True)
class ApiKey:
    """A key to the API. Only the SHA-256 of it is kept: it is random, so that no slow hash is needed."""

    table: ClassVar[sa.Table] = models.api_key
    id: str
    name: str
    digest: str
    scopes: list[str]
    created_at: datetime
    created_by: str
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    used_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class ApiRun:
    """A change that was asked for over the API. What its answer shows is read anew each time; nothing of it is kept."""

    table: ClassVar[sa.Table] = models.api_run
    id: str
    api_key_id: str
    idempotency_key: str | None = None
    digest: str
    """Of the request: the same key with another request is refused."""
    node_ids: list[str]
    """Which nodes have to hear of it."""
    shows: dict[str, Any]
    """What its answer shows: `kind`, and the `ids` of rows."""
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class WorkerRow:
    """A process of `worker run`, as it last said of itself."""

    table: ClassVar[sa.Table] = models.worker
    id: str
    host: str
    pid: int
    started_at: datetime
    seen_at: datetime
    stopped_at: datetime | None = None
    settled: int = 0
    """Nodes that it brought to agree since it started."""
    connections: int = 0
    """SSH connections that it keeps open."""
