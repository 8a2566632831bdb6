"""What a provider of payments is, and what passes between it and the rest. Amounts are minor units.

A provider knows what to ask and what answers mean. It sends nothing by itself: it is given an `Exchange`.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar

from vpnctl.errors import Conflict, InvalidInput, Unreachable
from vpnctl.rules.exchange import Exchange, HttpAnswer

if TYPE_CHECKING:
    from vpnctl.settings import Settings

OK = range(200, 300)
UNAUTHORIZED, TOO_MANY, SERVER_ERROR = (401, 403), 429, 500
LONGEST_FIGURE = 200


class ProviderSilent(Unreachable):
    """A provider does not answer, or is in trouble: it is asked again later."""

    usual_hint = "it is asked again by itself: vpnctl jobs run payments"


class ProviderRefused(Conflict):
    """A provider will not do it, now or later."""

    usual_hint = "the provider's own page says more"


class Forged(InvalidInput):
    """A callback does not come from whom it says."""


class MoneyStatus(StrEnum):
    """What became of a payment."""

    WAITING = "waiting"
    PAID = "paid"
    FAILED = "failed"
    REFUNDED = "refunded"
    UNKNOWN = "unknown"
    """The provider knows of no such payment."""


PAGES = 200
"""Of a provider's list: one that has more does not end."""


@dataclass(frozen=True)
class Abilities:
    """What a provider can do. `currencies` None: any."""

    currencies: frozenset[str] | None = None
    refund: bool = False
    look: bool = True
    """It can be asked what became of a payment."""
    listing: bool = False
    """It can be asked for all payments since a time."""
    signed: bool = False
    """What it calls us with bears a signature; else anybody may have sent it."""
    page: bool = True
    """It is paid on a page of its own, to which a link leads; else people are told how, and send a receipt."""


@dataclass(frozen=True)
class Bill:
    """What is to be paid. `id` is the order's; asked again with the same one, there is still one checkout."""

    id: str
    number: int
    amount: int
    currency: str
    title: str
    expires_at: datetime
    now: datetime
    return_url: str
    external_id: str = ""
    """What the provider calls it, once it knows of it."""
    payer: str = ""
    """The person's Telegram id."""


@dataclass(frozen=True)
class Checkout:
    """Where a bill is paid, and what the provider calls it."""

    external_id: str
    url: str = field(repr=False)


@dataclass(frozen=True)
class Word:
    """What a provider says of one payment. `external_id` names the money: booked once."""

    status: MoneyStatus
    external_id: str
    checkout_id: str = ""
    order_id: str = ""
    """Which order it names; empty where the provider keeps none."""
    amount: int | None = None
    currency: str | None = None
    payer: str = ""
    refunded: int = 0
    """How much of it went back."""
    raw: Mapping[str, Any] = field(default_factory=dict)
    """Fields that are known to hold no secret, for disputes."""


@dataclass(frozen=True)
class Callback:
    """What a webhook says: which checkout to look at. `event_id` is the same when it is delivered again."""

    event_id: str
    about: str


class Provider(ABC):
    """One provider with the operator's settings."""

    name: ClassVar[str]
    title: ClassVar[str]
    """What people call it; for screens."""
    supports: ClassVar[Abilities]

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @property
    @abstractmethod
    def ready(self) -> bool:
        """Whether it is set up."""

    def takes(self, currency: str) -> bool:
        """Return whether it takes money in that currency."""
        return self.supports.currencies is None or currency in self.supports.currencies

    @abstractmethod
    def open(self, bill: Bill, exchange: Exchange) -> Checkout:
        """Have a checkout made. Raises ProviderSilent, ProviderRefused."""

    def look(self, bill: Bill, exchange: Exchange) -> Word:  # noqa: ARG002 - for who can
        """Ask what became of it. Raises ProviderSilent, ProviderRefused."""
        raise ProviderRefused(f"{self.title} tells of no payment when it is asked")

    def refund(self, bill: Bill, payment_id: str, exchange: Exchange) -> None:  # noqa: ARG002 - for who can
        """Give all of it back; that it was given back already is a success. Raises ProviderSilent, ProviderRefused."""
        raise ProviderRefused(f"{self.title} gives nothing back by itself")

    def listed(self, since: datetime, exchange: Exchange) -> Sequence[Word]:  # noqa: ARG002 - for who can
        """Return all that was paid since then, as the provider's own list has it."""
        raise ProviderRefused(f"{self.title} keeps no list")

    def heard(self, headers: Mapping[str, str], body: bytes) -> Callback:  # noqa: ARG002 - for who can
        """Return what a webhook is about; header names are in small letters. Raises Forged, InvalidInput."""
        raise InvalidInput(f"{self.title} calls nobody")


def decoded(answer: HttpAnswer, who: str, refusals: Sequence[int] = ()) -> Any:
    """Return the JSON of an answer. Only a status of success, or one of `refusals`, says anything.

    What a provider answers is quoted nowhere: it may hold what we sent.
    """
    if answer.status in UNAUTHORIZED:
        raise ProviderSilent(f"{who} does not accept our key", f"check {who.lower()}'s settings: vpnctl doctor")
    if answer.status == TOO_MANY or answer.status >= SERVER_ERROR:
        raise ProviderSilent(f"{who} is in trouble (status {answer.status})")
    if answer.status not in OK and answer.status not in refusals:
        raise ProviderRefused(f"{who} refused (status {answer.status})")
    return parsed(answer.body, who)


def parsed(body: bytes, who: str) -> dict[str, Any]:
    """Return a JSON object; ProviderSilent where it is none, as half a body or a proxy's page are not."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise ProviderSilent(f"{who}'s answer makes no sense") from None
    if not isinstance(found, dict):
        raise ProviderSilent(f"{who}'s answer makes no sense")
    return found


def event(body: bytes) -> dict[str, Any]:
    """Return the JSON object of a webhook; InvalidInput where it is none."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise InvalidInput("that is no event")
    return found


def text(value: Any, longest: int = 200) -> str:
    """Return a short text out of somebody's JSON; empty where it is none."""
    return value if isinstance(value, str) and len(value) <= longest and value.isprintable() else ""


def kept(raw: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Return those fields of an answer that are plain values, and no longer than figures are."""
    plain = (name for name in names if isinstance(raw.get(name), str | int | bool))
    return {name: raw[name] for name in plain if len(str(raw[name])) <= LONGEST_FIGURE}
