"""Stripe Checkout, by its official library (docs.stripe.com/api/checkout/sessions). It sends through our `Exchange`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

from vpnctl.errors import StateTrouble, adding
from vpnctl.payments.interface import (
    PAGES,
    Abilities,
    Bill,
    Callback,
    Checkout,
    Forged,
    MoneyStatus,
    Provider,
    ProviderRefused,
    ProviderSilent,
    Word,
    kept,
    text,
)
from vpnctl.rules.exchange import Exchange, HttpCall

if TYPE_CHECKING:
    from collections.abc import Iterator

WHO = "Stripe"
SHORTEST = timedelta(minutes=35)
"""How much longer a checkout lasts than its order: Stripe takes none that ends within 30 minutes, or after 24 hours."""
TOLERANCE = 300
"""Seconds that a webhook's signature is good for."""
TO_CENTS = frozenset({"ISK", "UGX"})
"""Currencies without decimals of which Stripe wants hundredths (docs.stripe.com/currencies#special-cases)."""
SIGNATURE = "stripe-signature"
NO_SUCH = "resource_missing"


class StripeCheckout(Provider):
    """See the module."""

    name = "stripe"
    title = "Stripe"
    supports = Abilities(refund=True, listing=True, signed=True)

    @property
    def ready(self) -> bool:
        """It needs a key."""
        return bool(self.settings.stripe_key.reveal())

    def takes(self, currency: str) -> bool:
        """Anything but Stars, and ariary, of which Stripe counts other parts than ISO 4217."""
        return currency not in ("XTR", "MGA")

    def open(self, bill: Bill, exchange: Exchange) -> Checkout:
        """See `Provider.open`."""
        ends = bill.expires_at + SHORTEST  # of the order alone: asked again, it must be the same request
        price = {"currency": bill.currency.lower(), "unit_amount": _units(bill.amount, bill.currency)}
        price |= {"product_data": {"name": bill.title or f"#{bill.number}"}}
        params: dict[str, Any] = {
            "mode": "payment",
            "line_items": [{"quantity": 1, "price_data": price}],
            "success_url": bill.return_url,
            "cancel_url": bill.return_url,
            "client_reference_id": bill.id,
            "metadata": {"order_id": bill.id},
            "expires_at": int(ends.timestamp()),
        }
        with _said():
            made = self._client(exchange).v1.checkout.sessions.create(
                params=params,
                options={"idempotency_key": f"order-{bill.id}"},
            )
        url = text(getattr(made, "url", ""), 4000)
        if not text(getattr(made, "id", "")) or not url.startswith("https://"):
            raise ProviderSilent(f"{WHO}'s answer makes no sense")
        return Checkout(made.id, url)

    def look(self, bill: Bill, exchange: Exchange) -> Word:
        """See `Provider.look`."""
        try:
            with _said():
                found = self._client(exchange).v1.checkout.sessions.retrieve(
                    bill.external_id, params={"expand": ["payment_intent.latest_charge"]}
                )
        except _NoSuchError:
            return Word(MoneyStatus.UNKNOWN, bill.external_id, bill.external_id)
        return _word(found.to_dict())

    def refund(self, bill: Bill, payment_id: str, exchange: Exchange) -> None:
        """See `Provider.refund`. What is refunded is the session's payment intent."""
        with _said():
            client = self._client(exchange)
            intent = getattr(client.v1.checkout.sessions.retrieve(payment_id), "payment_intent", None)
            if not isinstance(intent, str):
                raise ProviderRefused(f"{WHO} knows of no payment there")
            client.v1.refunds.create(
                params={"payment_intent": intent, "metadata": {"order_id": bill.id}},
                options={"idempotency_key": f"refund-{payment_id}"},
            )

    def listed(self, since: datetime, exchange: Exchange) -> Sequence[Word]:
        """See `Provider.listed`."""
        with _said():
            page = self._client(exchange).v1.checkout.sessions.list(
                params={"created": {"gte": int(since.timestamp())}, "limit": 100, "status": "complete"}
            )
            words = [_word(each.to_dict()) for each in islice(page.auto_paging_iter(), 100 * PAGES + 1)]
        if len(words) > 100 * PAGES:
            raise ProviderSilent(f"the list of {WHO} does not end")
        return [each for each in words if each.status in (MoneyStatus.PAID, MoneyStatus.REFUNDED)]

    def heard(self, headers: Mapping[str, str], body: bytes) -> Callback:
        """See `Provider.heard`. Without a signing secret nothing is believed."""
        stripe = _library()
        secret = self.settings.stripe_webhook_key.reveal()
        if not secret:
            raise Forged("stripe_webhook_key is not set")
        try:
            found = stripe.Webhook.construct_event(body, headers.get(SIGNATURE, ""), secret, TOLERANCE)
        except (stripe.SignatureVerificationError, ValueError):
            raise Forged("the signature is not Stripe's") from None
        said = found.to_dict()
        what = (said.get("data") or {}).get("object")
        about = text(what.get("id")) if isinstance(what, dict) and what.get("object") == "checkout.session" else ""
        return Callback(text(said.get("id")), about)

    def _client(self, exchange: Exchange) -> Any:
        stripe = _library()
        return stripe.StripeClient(
            self.settings.stripe_key.reveal(),
            http_client=_sender(stripe, exchange),
            base_addresses={"api": self.settings.stripe_api_url},
            max_network_retries=0,
        )


class _NoSuchError(ProviderRefused):
    """Stripe knows of no such object."""


def _library() -> Any:
    try:
        import stripe
    except ImportError:
        raise StateTrouble("Stripe needs its library", adding("stripe>=16")) from None
    return stripe


def _sender(stripe: Any, exchange: Exchange) -> Any:
    """Return what the library sends through."""

    class Sender(stripe.HTTPClient):  # type: ignore[misc]
        name = "vpnctl"

        def request(self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None) -> Any:
            data = post_data.encode() if isinstance(post_data, str) else post_data
            try:
                answer = exchange(HttpCall(method.upper(), url, dict(headers), data))
            except OSError:
                raise stripe.APIConnectionError("no answer") from None
            return answer.body, answer.status, answer.headers

        def close(self) -> None:
            return

    return Sender()


@contextmanager
def _said() -> Iterator[None]:
    """Turn the library's exceptions into ours; what they say is not quoted, only Stripe's own short code."""
    stripe = _library()
    try:
        yield
    except (stripe.APIConnectionError, stripe.RateLimitError, stripe.AuthenticationError, stripe.PermissionError):
        raise ProviderSilent(f"{WHO} does not answer, or does not accept our key", "vpnctl doctor") from None
    except stripe.IdempotencyError:
        raise ProviderRefused(f"{WHO} was asked for it before, and otherwise") from None
    except stripe.InvalidRequestError as error:
        if error.code == NO_SUCH:
            raise _NoSuchError(f"{WHO} knows of no such payment") from None
        if error.code != "charge_already_refunded":
            code = error.code if isinstance(error.code, str) and error.code.replace("_", "").isalnum() else "no code"
            raise ProviderRefused(f"{WHO} refused ({code})") from None
    except stripe.StripeError:
        raise ProviderSilent(f"{WHO} is in trouble") from None


def _units(amount: int, currency: str) -> int:
    return amount * 100 if currency in TO_CENTS else amount


def _minor(units: Any, currency: str) -> int | None:
    if not isinstance(units, int):
        return None
    return units // 100 if currency in TO_CENTS else units


def _word(row: Mapping[str, Any]) -> Word:
    """Return what a session says."""
    key, currency = text(row.get("id")), text(row.get("currency"), 3).upper()
    amount = _minor(row.get("amount_total"), currency)
    status = MoneyStatus.PAID if row.get("payment_status") == "paid" else MoneyStatus.WAITING
    status = MoneyStatus.FAILED if status is MoneyStatus.WAITING and row.get("status") == "expired" else status
    intent = row.get("payment_intent")
    charge = intent.get("latest_charge") if isinstance(intent, Mapping) else None
    back = _minor(charge.get("amount_refunded"), currency) if isinstance(charge, Mapping) else 0
    if status is MoneyStatus.PAID and amount and back and back >= amount:
        status = MoneyStatus.REFUNDED
    raw = kept(row, "id", "status", "payment_status", "created", "livemode")
    order = text(row.get("client_reference_id"), 36)
    return Word(status, key, key, order, amount, currency or None, refunded=back or 0, raw=raw)
