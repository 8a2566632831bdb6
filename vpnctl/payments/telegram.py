"""Telegram Payments by a provider token of @BotFather (core.telegram.org/bots/payments).

Telegram keeps no list of such payments: `successful_payment`, which it brings until we confirm it, is the only word.
"""

from __future__ import annotations

from vpnctl.payments.botapi import link
from vpnctl.payments.interface import Abilities, Bill, Checkout, Provider
from vpnctl.payments.stars import STARS
from vpnctl.rules.exchange import Exchange
from vpnctl.rules.translation import mark


class TelegramPayments(Provider):
    """See the module."""

    name = "telegram"
    title = mark("Card in Telegram")
    supports = Abilities(look=False)

    @property
    def ready(self) -> bool:
        """It needs the bot and a provider's token."""
        return bool(self.settings.bot_token.reveal() and self.settings.telegram_provider_token.reveal())

    def takes(self, currency: str) -> bool:
        """Anything but Stars."""
        return currency != STARS

    def open(self, bill: Bill, exchange: Exchange) -> Checkout:
        """See `Provider.open`."""
        return link(self.settings, bill, exchange, self.settings.telegram_provider_token.reveal())
