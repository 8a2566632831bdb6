"""A shop in the lab: the settings that it needs, who takes payments on loopback, and how a person pays by each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.support import till as tills
from tests.support.till import Till
from tests.telegram.server import PROVIDER, TOKEN, BotApi, Person

ADMIN = 11
PLANS = """
plans:
  - {name: month, title: One month, days: 30, devices: 2, prices: {RUB: 39900, EUR: 499, IRR: 150000000, XTR: 250}}
"""


@dataclass
class Shop:
    """The operator, the providers, and the Bot API."""

    operator: Any
    api: BotApi
    till: Till

    def order(self, buyer: Person, method: str) -> Any:
        """Choose plan and method; return the order as the command line shows it."""
        buyer.say("/plans")
        buyer.wait("One month", 90)
        buyer.press("One month")
        buyer.wait("It begins", 30)
        buyer.press(method)
        buyer.wait("🧾 Order", 60)
        mine = self.operator("order", "list", "--user", buyer.who["username"], "--json").json
        return self.operator("order", "show", str(mine[0]["number"]), "--json").json

    def link(self, buyer: Person) -> str:
        shown = [button for each in buyer.messages for row in each.rows for button in row]
        return next(each["url"] for each in reversed(shown) if each.get("url") and "Pay" in each["text"])


def in_telegram(shop: Shop, buyer: Person, order: Any) -> None:
    link = shop.link(buyer)
    assert buyer.let_pay(buyer.ask_to_pay(link))
    buyer.pay_now(link)


def on_a_page(shop: Shop, buyer: Person, order: Any) -> None:
    shop.till.pay(order["id"])
    buyer.press("I have paid")


def by_receipt(shop: Shop, buyer: Person, order: Any) -> None:
    buyer.say("", photo=[{"file_id": "AgAC-1", "file_unique_id": "receipt1"}])
    buyer.wait("looks at your receipt", 30)
    shop.operator("payment", "accept", str(order["number"]), "--yes")


WAYS: dict[str, tuple[str, Callable[[Shop, Person, Any], None]]] = {
    "stars": ("Telegram Stars", in_telegram),
    "telegram": ("Card in Telegram", in_telegram),
    "yookassa": ("YooKassa", on_a_page),
    "cryptomus": ("Crypto", on_a_page),
    "stripe": ("Stripe", on_a_page),
    "zarinpal": ("Zarinpal", on_a_page),
    "manual": ("Transfer", by_receipt),
}
"""Provider -> its button, and how a person pays."""
GIVES_BACK = ("stars", "yookassa", "stripe")


def env(api: BotApi, till: Till) -> dict[str, str]:
    """Return the settings of a shop that sells by all of them."""
    return {
        "VPNCTL_TELEGRAM_API_URL": api.url,
        "VPNCTL_BOT_TOKEN": TOKEN,
        "VPNCTL_ADMIN_IDS": str(ADMIN),
        "VPNCTL_TELEGRAM_PROVIDER_TOKEN": PROVIDER,
        "VPNCTL_YOOKASSA_SHOP": tills.SHOP,
        "VPNCTL_YOOKASSA_KEY": tills.SHOP_KEY,
        "VPNCTL_YOOKASSA_API_URL": f"{till.url}/yookassa",
        "VPNCTL_CRYPTOMUS_MERCHANT": tills.MERCHANT,
        "VPNCTL_CRYPTOMUS_KEY": tills.MERCHANT_KEY,
        "VPNCTL_CRYPTOMUS_API_URL": f"{till.url}/cryptomus",
        "VPNCTL_STRIPE_KEY": tills.STRIPE_KEY,
        "VPNCTL_STRIPE_API_URL": f"{till.url}/stripe",
        "VPNCTL_ZARINPAL_MERCHANT": tills.ZARIN,
        "VPNCTL_ZARINPAL_API_URL": f"{till.url}/zarinpal",
        "VPNCTL_MANUAL_PAYMENT": "EUR=IBAN DE00 1234",
    }
