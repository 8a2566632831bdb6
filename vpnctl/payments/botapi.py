"""What the Bot API is asked about money: links to invoices, transactions, refunds (core.telegram.org/bots/api)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from vpnctl.payments.interface import UNAUTHORIZED, Bill, Checkout, ProviderRefused, ProviderSilent, parsed, text
from vpnctl.rules.exchange import Exchange, HttpCall

if TYPE_CHECKING:
    from vpnctl.settings import Settings

TITLE, DESCRIPTION = 32, 255
"""Characters that an invoice takes."""
_AGAIN = 429, 500
_WHO = "Telegram"


class BotApi:
    """The Bot API with our token, which leaves in no text."""

    def __init__(self, settings: Settings, exchange: Exchange) -> None:
        self._settings, self._exchange = settings, exchange

    def call(self, method: str, body: dict[str, Any], accepted: str = "") -> Any:
        """Return the result, True where it refuses with the words that are `accepted`, None where it refuses."""
        url = f"{self._settings.telegram_api_url}/bot{self._settings.bot_token.reveal()}/{method}"
        call = HttpCall("POST", url, {"Content-Type": "application/json"}, json.dumps(body).encode())
        try:
            answer = self._exchange(call)
        except OSError:
            raise ProviderSilent("Telegram does not answer") from None
        found = parsed(answer.body, _WHO)
        if answer.status in UNAUTHORIZED or answer.status == _AGAIN[0] or answer.status >= _AGAIN[1]:
            raise ProviderSilent(f"Telegram is in trouble (status {answer.status})")
        if found.get("ok") is True:
            return found.get("result")
        if found.get("ok") is not False:
            raise ProviderSilent("Telegram's answer makes no sense")
        return True if accepted and accepted in str(found.get("description")) else None


def link(settings: Settings, bill: Bill, exchange: Exchange, token: str) -> Checkout:
    """Have a link to an invoice made. Its payload is the order's id, which comes back with the money."""
    body = {
        "title": bill.title[:TITLE] or f"#{bill.number}",
        "description": f"#{bill.number} {bill.title}"[:DESCRIPTION],
        "payload": bill.id,
        "provider_token": token,
        "currency": bill.currency,
        "prices": [{"label": bill.title[:TITLE] or f"#{bill.number}", "amount": bill.amount}],
    }
    url = text(BotApi(settings, exchange).call("createInvoiceLink", body), 2000)
    if not url.startswith("https://"):
        raise ProviderRefused("Telegram makes no invoice of it", "check the price and the provider token")
    return Checkout(bill.id, url)
