"""Rows of money; like `store.rows`. Amounts are whole minor units of their currency."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

import sqlalchemy as sa

from vpnctl.store import models


@dataclass(frozen=True, kw_only=True)
class Order:
    """What somebody wants to buy, with the plan and its price as they were then: a changed tariff changes neither."""

    table: ClassVar[sa.Table] = models.order
    id: str
    """Also the key under which the provider makes one checkout of it, however often it is asked."""
    number: int
    user_id: str
    state: str
    """See `rules.orders.OrderState`."""
    terms: dict[str, Any]
    """The plan's copy: what `actions.sales.orders.terms` makes a plan of."""
    plan: str
    amount: int
    currency: str
    replaces_id: str | None = None
    """The running period that it takes the place of at once, as the person was told; else it follows behind."""
    provider: str
    external_id: str | None = None
    """What the provider calls the checkout."""
    url: str | None = None
    """Where it is paid."""
    created_at: datetime
    expires_at: datetime
    changed_at: datetime
    paid_at: datetime | None = None
    fulfilled_at: datetime | None = None
    """When every node with a device of theirs was seen to agree."""
    decided_by: str | None = None
    reason: str | None = None
    subscription_id: str | None = None
    ask_at: datetime | None = None
    """When the provider is to be asked next; None: never again."""
    tries: int = 0

    def called(self, locale: str = "") -> str:
        """Return what the plan was called on the screens of a language."""
        return str((self.terms.get("titles") or {}).get(locale) or self.terms.get("title") or self.plan)


@dataclass(frozen=True, kw_only=True)
class Payment:
    """Money that a provider, or an admin, says came. `external_id` is unique with its provider: booked once."""

    table: ClassVar[sa.Table] = models.payment
    id: str
    provider: str
    external_id: str
    order_id: str | None = None
    state: str
    """See `rules.orders.PaymentState`."""
    amount: int
    currency: str
    payer: str | None = None
    """Whom the provider names, such as a Telegram id."""
    note: str | None = None
    created_at: datetime
    changed_at: datetime
    decided_by: str | None = None
    ask_at: datetime | None = None
    """When a refund that was begun is tried again."""
    tries: int = 0
    raw: dict[str, Any]
    """What the provider said, reduced to fields that are known to hold no secret."""


@dataclass(frozen=True, kw_only=True)
class Proof:
    """A receipt that somebody sent. What it shows is forgotten once it is decided; what tells a copy of it is not."""

    table: ClassVar[sa.Table] = models.proof
    id: str
    order_id: str
    kind: str
    """`photo`, `document` or `text`."""
    file_id: str | None = None
    """What Telegram sends it again by."""
    file_key: str | None = None
    """Telegram's `file_unique_id`: the same file has the same, whoever sends it."""
    digest: str | None = None
    """SHA-256 of what it holds, or of the reference."""
    reference: str | None = None
    created_at: datetime
    forgotten_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class WebhookEvent:
    """What a provider called us with, verified where it can be; what it says is asked for again before it counts."""

    table: ClassVar[sa.Table] = models.webhook_event
    id: str
    provider: str
    event_id: str
    about: str
    """The checkout that it is about, as the provider calls it."""
    body: bytes | None = None
    """As it came; forgotten once it is handled."""
    received_at: datetime
    handled_at: datetime | None = None
    not_before: datetime
    tries: int = 0
    error: str | None = None
