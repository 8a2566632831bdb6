"""Who takes money for the operator. A new provider is a module here and a line in `PROVIDERS`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from vpnctl.errors import InvalidInput
from vpnctl.rules.grammar import clean

if TYPE_CHECKING:
    from vpnctl.payments.interface import Provider
    from vpnctl.settings import Settings

PROVIDERS = {
    "stars": "Stars",
    "telegram": "TelegramPayments",
    "yookassa": "YooKassa",
    "cryptomus": "Cryptomus",
    "stripe": "StripeCheckout",
    "zarinpal": "Zarinpal",
    "manual": "Manual",
}
"""Module -> class, in the order in which people are offered them."""


def provider(name: str, settings: Settings) -> Provider:
    """Return a provider with the operator's settings, whether it is set up or not; InvalidInput for no provider."""
    if name not in PROVIDERS:
        raise InvalidInput(f"'{clean(name)}' takes no payments", f"one of: {', '.join(PROVIDERS)}")
    made: Provider = getattr(import_module(f"vpnctl.payments.{name}"), PROVIDERS[name])(settings)
    return made


def offered(settings: Settings) -> list[Provider]:
    """Return the providers that are set up."""
    return [each for name in PROVIDERS if (each := provider(name, settings)).ready]
