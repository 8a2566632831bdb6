"""Payment by hand: people are told how, send a receipt, and an admin decides."""

from __future__ import annotations

from vpnctl.payments.interface import Abilities, Bill, Checkout, Provider
from vpnctl.rules.exchange import Exchange
from vpnctl.rules.translation import mark


class Manual(Provider):
    """See the module."""

    name = "manual"
    title = mark("Transfer")
    supports = Abilities(look=False, page=False)

    @property
    def ready(self) -> bool:
        """It needs to be said how to pay."""
        return bool(self.settings.manual_payment)

    def takes(self, currency: str) -> bool:
        """What there are instructions for."""
        return currency in dict(self.settings.manual_payment)

    def instructions(self, currency: str) -> str:
        """Return how to pay in that currency."""
        return dict(self.settings.manual_payment).get(currency, "")

    def open(self, bill: Bill, exchange: Exchange) -> Checkout:  # noqa: ARG002 - nobody is asked
        """There is no page: the order's number is the reference."""
        return Checkout(bill.id, "")
