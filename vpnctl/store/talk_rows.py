"""Rows of what the Telegram bot remembers; like `store.rows`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

import sqlalchemy as sa

from vpnctl.store import models

WITHDRAWN = "withdrawn"
"""In the details of a request that its own person took back."""


@dataclass(frozen=True, kw_only=True)
class Received:
    """An update of Telegram in the inbox. `body` is forgotten once it is handled, `reply` once it is sent."""

    table: ClassVar[sa.Table] = models.inbox
    seq: int
    update_id: int
    chat_id: int
    received_at: datetime
    body: dict[str, Any] | None = None
    handled_at: datetime | None = None
    reply: dict[str, Any] | None = None
    answered_at: datetime | None = None
    not_before: datetime
    tries: int
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class Button:
    """One button on one screen: for one person (`owner`, a Telegram id), once, for a time."""

    table: ClassVar[sa.Table] = models.button
    id: str
    screen: str
    owner: int
    action: str
    args: dict[str, Any]
    expires_at: datetime
    used_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Invite:
    """An invitation; who opens it first becomes the named user, or a new one."""

    table: ClassVar[sa.Table] = models.invite
    id: str
    code_hash: str
    user_id: str | None = None
    made_by: str
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Applicant:
    """A stranger who talks to the bot: wrong answers so far, wrong invitations, and until when we do not listen."""

    table: ClassVar[sa.Table] = models.applicant
    telegram_id: int
    locale: str
    tries: int
    bad_codes: int
    wait_until: datetime | None = None
    seen_at: datetime


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a user asked an admin for: a `device`, a `regen`, a `move` or a `plan`."""

    table: ClassVar[sa.Table] = models.request
    id: str
    user_id: str
    kind: str
    details: dict[str, Any]
    created_at: datetime
    decided_at: datetime | None = None
    decided_by: str | None = None
    granted: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """What the bot asked somebody to write: the next text of theirs is for the button's `action`, for a time."""

    table: ClassVar[sa.Table] = models.prompt
    telegram_id: int
    action: str
    args: dict[str, Any]
    expires_at: datetime
