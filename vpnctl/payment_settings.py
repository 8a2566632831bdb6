"""Settings of who takes money for the operator. A provider is offered once what it needs is set."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, field
from typing import Any

from vpnctl.rules.secret import Secret


def setting(help_text: str, default: Any = MISSING) -> Any:
    """Return a field with its help."""
    return field(default=default, metadata={"help": help_text})


@dataclass(frozen=True, kw_only=True)
class PaymentSettings:
    """A part of `Settings`."""

    pay_stars: bool = setting("`no`: plans with a price in XTR are not sold for Telegram Stars", True)
    telegram_provider_token: Secret = setting(
        "of a provider of Telegram Payments, as @BotFather shows it; empty: not offered", Secret("")
    )
    yookassa_shop: str = setting("YooKassa's shop id, digits; empty: not offered", "")
    yookassa_key: Secret = setting("YooKassa's secret key", Secret(""))
    yookassa_receipt: str = setting(
        "for shops that must send receipts (54-FZ): `EMAIL VAT_CODE`, the e-mail address to which YooKassa sends them; "
        "empty: none are sent",
        "",
    )
    yookassa_api_url: str = setting("where YooKassa's API is", "https://api.yookassa.ru/v3")
    cryptomus_merchant: str = setting("Cryptomus' or Heleket's merchant id; empty: not offered", "")
    cryptomus_key: Secret = setting("its payment key", Secret(""))
    cryptomus_api_url: str = setting(
        "where its API is; Heleket's: `https://api.heleket.com/v1`", "https://api.cryptomus.com/v1"
    )
    stripe_key: Secret = setting("Stripe's secret or restricted key; empty: not offered", Secret(""))
    stripe_webhook_key: Secret = setting("the signing secret of Stripe's webhook endpoint, `whsec_…`", Secret(""))
    stripe_api_url: str = setting("where Stripe's API is", "https://api.stripe.com")
    zarinpal_merchant: Secret = setting("Zarinpal's merchant id, 36 characters; empty: not offered", Secret(""))
    zarinpal_api_url: str = setting(
        "where Zarinpal's API is; its sandbox: `https://sandbox.zarinpal.com`", "https://payment.zarinpal.com"
    )
    manual_payment: tuple[tuple[str, str], ...] = setting(
        "how people pay by hand, per currency: in the file a mapping such as `{EUR: IBAN DE…, RUB: card …}`, in the "
        "environment `EUR=IBAN DE…|RUB=card …`; empty: not offered",
        (),
    )
    manual_accept_hours: int = setting(
        "accept a receipt that no admin decided on for so many hours, 1 to 720; 0: never", 0
    )
    manual_accept_most: tuple[tuple[str, int], ...] = setting(
        "what may be accepted so: the highest price per currency in minor units, as `EUR=500,RUB=40000`; no currency "
        "that is not named",
        (),
    )
    manual_accept_daily: int = setting("how many receipts may be accepted so a day, 1 to 1000; one a person", 5)
    order_minutes: int = setting("how long an order waits for its money, 30 to 1380 minutes", 60)
    return_url: str = setting("where a browser goes after paying; empty: to the bot", "")
