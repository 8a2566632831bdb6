"""Which command and which button is whose, and who may use it. One line each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from bot.context import Context
from bot.handlers import account, configs, devices, home, operations, people, shop
from bot.screen import Screen
from vpnctl.rules.translation import mark


class For(Enum):
    """Who may."""

    CONNECTED = auto()
    """Users with access now."""
    USER = auto()
    """Users who are let in."""
    ANYBODY = auto()
    """Users and admins."""
    ADMIN = auto()


@dataclass(frozen=True)
class Route:
    """A handler, and who may use it."""

    handler: Callable[[Context], Screen]
    whom: For


COMMANDS = {
    "start": Route(home.show, For.ANYBODY),
    "menu": Route(home.show, For.ANYBODY),
    "get_config": Route(configs.get_config, For.CONNECTED),
    "regen": Route(configs.regen, For.CONNECTED),
    "status": Route(account.status, For.USER),
    "server": Route(configs.server, For.CONNECTED),
    "stats": Route(account.stats, For.USER),
    "plans": Route(account.plans_, For.USER),
    "trial": Route(account.trial, For.USER),
    "paysupport": Route(shop.pay_support, For.USER),
    "help": Route(account.help_, For.ANYBODY),
    "language": Route(account.language, For.USER),
    "users": Route(people.list_, For.ADMIN),
    "add_user": Route(people.add_user, For.ADMIN),
    "nodes": Route(operations.nodes, For.ADMIN),
    "pending": Route(operations.pending, For.ADMIN),
    "lockdown": Route(operations.lockdown, For.ADMIN),
    "accept": Route(shop.accept, For.ADMIN),
    "reject": Route(shop.refused, For.ADMIN),
}
RECEIPT, REFERENCE = Route(shop.receipt, For.USER), Route(shop.reference, For.USER)
"""Of a picture or file that is sent, and of a text that is no command."""
BUTTONS = {
    "home": Route(home.show, For.ANYBODY),
    "configs": Route(configs.get_config, For.CONNECTED),
    "config": Route(configs.again, For.CONNECTED),
    "kinds": Route(configs.kinds, For.CONNECTED),
    "add": Route(configs.add, For.CONNECTED),
    "device": Route(devices.card, For.CONNECTED),
    "rename": Route(devices.rename, For.CONNECTED),
    "renamed": Route(devices.renamed, For.CONNECTED),
    "remove": Route(devices.remove, For.CONNECTED),
    "removed": Route(devices.removed, For.CONNECTED),
    "regen": Route(configs.regen, For.CONNECTED),
    "renew": Route(configs.renew, For.CONNECTED),
    "renewed": Route(configs.renewed, For.CONNECTED),
    "server": Route(configs.server, For.CONNECTED),
    "servers": Route(configs.servers, For.CONNECTED),
    "move": Route(configs.move, For.CONNECTED),
    "moved": Route(configs.moved, For.CONNECTED),
    "status": Route(account.status, For.USER),
    "stats": Route(account.stats, For.USER),
    "plans": Route(account.plans_, For.USER),
    "plan": Route(account.plan, For.USER),
    "order": Route(account.order, For.USER),
    "buy": Route(shop.buy, For.USER),
    "order_": Route(shop.show, For.USER),
    "have_paid": Route(shop.have_paid, For.USER),
    "give_up": Route(shop.give_up, For.USER),
    "referred": Route(shop.referred, For.USER),
    "accept": Route(shop.accept, For.ADMIN),
    "refusing": Route(shop.refusing, For.ADMIN),
    "refused": Route(shop.refused, For.ADMIN),
    "wish": Route(account.wish, For.USER),
    "withdraw": Route(account.withdraw, For.USER),
    "drop": Route(account.drop, For.USER),
    "trial": Route(account.trial, For.USER),
    "tried": Route(account.tried, For.USER),
    "help": Route(account.help_, For.ANYBODY),
    "steps": Route(account.steps, For.ANYBODY),
    "language": Route(account.language, For.USER),
    "speak": Route(account.speak, For.USER),
    "users": Route(people.list_, For.ADMIN),
    "user": Route(people.card, For.ADMIN),
    "approve": Route(people.approve, For.ADMIN),
    "reject": Route(people.reject, For.ADMIN),
    "extend": Route(people.extend, For.ADMIN),
    "history": Route(people.history, For.ADMIN),
    "take_back": Route(people.take_back, For.ADMIN),
    "lock": Route(operations.lock, For.ADMIN),
    "give": Route(people.give, For.ADMIN),
    "given": Route(people.given, For.ADMIN),
    "suspend": Route(people.suspend, For.ADMIN),
    "suspended": Route(people.suspended, For.ADMIN),
    "unblock": Route(people.unblock, For.ADMIN),
    "nodes": Route(operations.nodes, For.ADMIN),
    "pending": Route(operations.pending, For.ADMIN),
    "request": Route(operations.request, For.ADMIN),
    "grant": Route(operations.grant, For.ADMIN),
    "declining": Route(operations.declining, For.ADMIN),
    "refuse": Route(operations.refuse, For.ADMIN),
}
LISTED = {
    "start": mark("Menu"),
    "get_config": mark("Connect a device"),
    "regen": mark("New keys for a device"),
    "status": mark("Access and devices"),
    "server": mark("Use another server"),
    "stats": mark("Traffic of this month"),
    "plans": mark("Plans"),
    "trial": mark("Free trial"),
    "paysupport": mark("Help with a payment"),
    "help": mark("How to connect"),
    "language": mark("Language"),
}
"""Commands that Telegram offers to users, with their descriptions."""
LISTED_FOR_ADMINS = {
    "users": mark("People"),
    "add_user": mark("Add a person"),
    "nodes": mark("Servers"),
    "pending": mark("What waits"),
    "lockdown": mark("Close the bot"),
    "accept": mark("Accept a receipt: number"),
    "reject": mark("Refuse a receipt: number, reason"),
}
