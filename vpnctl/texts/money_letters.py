"""What people and admins are told about money."""

from __future__ import annotations

from datetime import datetime, tzinfo
from typing import Any

from vpnctl.texts.letter import Choice, Letter
from vpnctl.texts.words import Words


def _pay(details: dict[str, Any], zone: tzinfo, words: Words) -> Letter:
    """What is to be paid, how, and until when."""
    price = words.money(details["amount"], details["currency"])
    until = words.moment(datetime.fromisoformat(details["ends_at"]), zone)
    values = {"number": details["number"], "plan": details["plan"], "price": price, "until": until}
    args = {"order": details["order"]}
    stop = Choice(words.say("✖️ Give up"), "give_up", args)
    if not details["url"]:
        told = words.say("🧾 Order {number}: {plan}, {price}. Pay it by {until} like this:", **values)
        send = words.say(
            "Then send a picture of the receipt here, or its number as text. Name the order: {number}.", **values
        )
        return Letter(f"{told}\n\n{words.value(details['how'])}\n\n{send}", (stop,))
    told = words.say("🧾 Order {number}: {plan}, {price}. The button below works until {until}.", **values)
    there = Choice(words.say("✅ I have paid"), "have_paid", args)
    return Letter(told, (Choice(words.say("💳 Pay {price}", price=price), url=details["url"]), there, stop))


def _paid_for(details: dict[str, Any], zone: tzinfo, words: Words) -> Letter:
    moment = words.moment(datetime.fromisoformat(details["ends_at"]), zone)
    told = words.say("✅ Paid. {plan} lasts until {moment}.", plan=details["plan"], moment=moment)
    return Letter(told, (Choice(words.say("📱 Connect a device"), "configs"), Choice(words.say("« Menu"), "home")))


def _order_refused(details: dict[str, Any], _zone: tzinfo, words: Words) -> Letter:
    told = words.say("⛔ Order {number} ({plan}) was refused.", number=details["number"], plan=details["plan"])
    why = words.say("Reason: {reason}", reason=details["reason"]) if details["reason"] else ""
    return Letter("\n".join(filter(None, (told, why))), (Choice(words.say("💳 Plans"), "plans"),))


def _proof(details: dict[str, Any], _zone: tzinfo, words: Words) -> Letter:
    price = words.money(details["amount"], details["currency"])
    who = f"{details['display']} ({details['user']})" if details["display"] else details["user"]
    values = {"number": details["number"], "who": who, "plan": details["plan"], "price": price}
    told = words.say("🧾 Order {number} · {who} · {plan} · {price}. A receipt was sent.", **values)
    number = words.say("Its number: {reference}", reference=details["reference"]) if details["reference"] else ""
    args = {"number": details["number"]}
    yes, no = Choice(words.say("✅ Accept"), "accept", args), Choice(words.say("⛔ Refuse…"), "refusing", args)
    return Letter("\n".join(filter(None, (told, number))), (yes, no))


def _review(details: dict[str, Any], _zone: tzinfo, words: Words) -> Letter:
    price = words.money(details["amount"], details["currency"])
    values = {"price": price, "provider": details["provider"], "payment": details["payment"]}
    values["why"] = words.translated(details["why"])
    told = words.say("⚠️ {price} came by {provider}, and nobody got anything for it: {why}.", **values)
    if details["number"]:
        more = words.say("On the operator's machine: vpnctl payment accept {number}", number=details["number"])
    else:
        more = words.say("On the operator's machine: vpnctl payment show {payment}", **values)
    return Letter(f"{told} {more}")


def _auto_accepted(details: dict[str, Any], _zone: tzinfo, words: Words) -> Letter:
    values = {"number": details["number"], "price": words.money(details["amount"], details["currency"])}
    told = words.say("Order {number} ({price}) was accepted unseen: nobody decided in time.", **values)
    return Letter(told)


def _copy(details: dict[str, Any], _zone: tzinfo, words: Words) -> Letter:
    told = words.say("⚠️ The receipt of order {number} was sent for order {other} too.", **details)
    return Letter(told, (Choice(words.say("⛔ Refuse…"), "refusing", {"number": details["number"]}),))


def _waiting(details: dict[str, Any], zone: tzinfo, words: Words) -> Letter:
    values = {"count": details["count"], "moment": words.moment(datetime.fromisoformat(details["since"]), zone)}
    told = words.say("⏳ Receipts and payments that wait for a decision: {count}, the oldest since {moment}.", **values)
    return Letter(told, (Choice(words.say("📌 To do"), "pending"),))


def _books(details: dict[str, Any], _zone: tzinfo, words: Words) -> Letter:
    told = words.say("⚠️ What is booked here differs from the list of {provider}: {count}.", **details)
    return Letter(told + " " + words.say("On the operator's machine: vpnctl payment reconcile --dry-run"))


MONEY = {
    "proof_copy": _copy,
    "money_waits": _waiting,
    "books_differ": _books,
    "pay": _pay,
    "paid": _paid_for,
    "order_refused": _order_refused,
    "proof": _proof,
    "review": _review,
    "auto_accepted": _auto_accepted,
}
"""Letters about money."""
