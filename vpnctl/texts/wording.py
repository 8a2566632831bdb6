"""What messages say. A notice holds its kind and details; the text is made when it is sent."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import Any

from vpnctl.rules.translation import mark
from vpnctl.texts.words import Said, Words

_LINES = 40
"""Of a merged message; the rest is a number."""


@dataclass(frozen=True)
class Choice:
    """A button: what it says, never markup, and what it does, or the page that it opens."""

    label: str
    action: str = ""
    args: dict[str, Any] = field(default_factory=dict)
    url: str = ""


@dataclass(frozen=True)
class Letter:
    """A message, plain text, and the buttons under it."""

    text: str
    choices: tuple[Choice, ...] = ()


_FORMS = {
    "rent": mark("Rent of {node} is due on {due} ({days} days)."),
    "capacity": mark("{node} has {peers} peers; its capacity is {capacity}."),
    "job_failed": mark(
        "The job {job} failed on its timer at {at}. On the operator's machine: vpnctl jobs history {job}"
    ),
    "bot_failed": mark("The bot stopped at {at}. On the operator's machine: journalctl -u vpnctl-bot"),
    "drift": mark("{node} differs from the database: {changes}. The next sync puts it right; who changed it by hand?"),
    "not_ours": mark("{node}: {changes}. No sync changes that; on the operator's machine: vpnctl node check {node}"),
    "evacuated": mark(
        "{node} is blocked. {devices} devices were moved to other nodes automatically, {waiting} were not ({what}). "
        "On the operator's machine: vpnctl node evacuate {node} --to NODE --dry-run"
    ),
    "resource": mark("{node}: {what}."),
    "application": mark("{display} wants access (name {user}, Telegram id {telegram_id})."),
    "crowd": mark("More people want access than are shown here. /pending lists them."),
    "approved": mark("You are in. Send /get_config to connect a device."),
    "approved_plans": mark("You are in. Send /plans to see what there is."),
    "rejected": mark("Your request was declined."),
    "refused": mark("Your request was declined: {what}."),
    "act": mark("{admin}: {what}"),
    "refund_failed": mark(
        "A payment could not be given back: {what}. On the operator's machine: vpnctl payment show {payment}"
    ),
    "suspended": mark("Your access was suspended by an admin. Your devices keep their keys."),
    "restored": mark("Your access is back. Your devices connect again as they are."),
    "not_paid": mark("Order {number} ({plan}) was not paid. /plans begins anew."),
    "refunded": mark("Your money for order {number} ({plan}) was given back. The access that it bought has ended."),
    "provider_down": mark(
        "{provider} does not answer since {since}: {what}. Orders wait; nothing is lost. "
        "On the operator's machine: vpnctl order list --open"
    ),
    "provider_refused": mark(
        "Order {number} could not be offered for payment: {what}. On the operator's machine: vpnctl order show {number}"
    ),
    "delayed": mark("{device}: the server does not answer now. The config comes as soon as it is back."),
}
_ASKS = {
    "device": mark("a new device: {device}"),
    "regen": mark("new keys for {device}"),
    "move": mark("{device} on another server: {node}"),
    "plan": mark("the plan {plan}"),
}
ACTS = {
    "user.approve": mark("let {user} in"),
    "user.reject": mark("turned {user} away"),
    "user.block": mark("suspended {user}"),
    "user.unblock": mark("let {user} connect again"),
    "user.add": mark("added {user}"),
    "subscription.extend": mark("gave {user} {days} more days"),
    "subscription.grant": mark("gave {user} the plan {plan}"),
    "request.grant": mark("granted {user} {what}"),
    "request.refuse": mark("refused {user} {what}"),
    "payment.accept": mark("accepted the receipt of order {number}"),
    "payment.reject": mark("refused the receipt of order {number}"),
}
"""What admins do, as the others hear of it."""


def letter(kind: str, details: dict[str, Any], zone: tzinfo, words: Words) -> Letter:
    """Return a notice as a message. Times are in the operator's `zone`, which is named."""
    args = {"id": details.get("id", "")}
    if kind == "application":
        yes, no = Choice(words.say("Let in"), "approve", args), Choice(words.say("Turn away"), "reject", args)
        return Letter(words.say(_FORMS[kind], **_shown(kind, details)), (yes, no))
    if kind == "request":
        yes, no = Choice(words.say("Grant"), "grant", args), Choice(words.say("Refuse"), "refuse", args)
        return Letter(words.say("{user} asks for {what}.", user=details["user"], what=ask(details, words)), (yes, no))
    if kind in MONEY:
        return MONEY[kind](details, zone, words)
    return Letter(text(kind, details, zone, words), _steps(kind, details, words))


def _steps(kind: str, details: dict[str, Any], words: Words) -> tuple[Choice, ...]:
    """Return the buttons under a message to a person: what they would do next."""
    known = {
        "home": Choice(words.say("« Menu"), "home"),
        "plans": Choice(words.say("💳 Plans"), "plans"),
        "configs": Choice(words.say("📱 Connect a device"), "configs"),
        "server": Choice(words.say("🌍 Server"), "server"),
        "stats": Choice(words.say("📊 Traffic"), "stats"),
    }
    found = tuple(known[name] for name in _NEXT.get(kind, ()))
    if kind == "approved_plans":
        found = (*(Choice(title[:40], "plan", {"name": name}) for name, title in details.get("plans", [])), *found)
    if kind == "ending" and details.get("name"):
        found = (Choice(words.say("🔄 Renew"), "plan", {"name": details["name"]}), *found)
    return found


_NEXT = {
    "ending": ("plans",),
    "granted": ("configs", "home"),
    "approved": ("configs",),
    "approved_plans": ("plans", "home"),
    "refused": ("home",),
    "not_paid": ("plans",),
    "refunded": ("plans",),
    "delayed": ("server",),
    "restored": ("configs", "home"),
    "quota": ("stats", "plans"),
}
"""What stands under each message to a person."""


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


MONEY = {
    "pay": _pay,
    "paid": _paid_for,
    "order_refused": _order_refused,
    "proof": _proof,
    "review": _review,
    "auto_accepted": _auto_accepted,
}
"""Letters about money."""


def text(kind: str, details: dict[str, Any], zone: tzinfo, words: Words | None = None) -> str:
    """Return what a notice says, plain text, English unless told."""
    words = words or Words()
    special = {"ending": _ending, "quota": _quota, "granted": _granted, "config_file": _file, "config_qr": _picture}
    if kind in special:
        return special[kind](details, zone, words)
    if kind in MONEY:
        return MONEY[kind](details, zone, words).text
    if kind == "news":
        return str(details["text"])
    if kind == "health":
        lines = [str(line) for line in details["lines"]]
        more = [words.say("and {count} more", count=len(lines) - _LINES)] if len(lines) > _LINES else []
        return "\n".join([*lines[:_LINES], *more])
    if kind == "act":
        form = ACTS[details["verb"]]
        what = words.say(form, **_asked(details, words))
        return words.say(_FORMS[kind], admin=details["admin"], what=what)
    if kind == "request":
        return letter(kind, details, zone, words).text
    return words.say(_FORMS[kind], **_asked(_shown(kind, details), words))


def ask(details: dict[str, Any], words: Words) -> Said:
    """Return in a few words what a request asks for."""
    form = _ASKS.get(str(details.get("kind")), "")
    values = {key: details.get(key, "") for key in ("device", "node", "plan")}
    return words.say(form, **values) if form else Said()


def _asked(details: dict[str, Any], words: Words) -> dict[str, Any]:
    """Details of a request carry its kind; what was asked is said in the reader's language."""
    return details | ({"what": ask(details, words)} if "kind" in details else {})


def _shown(kind: str, details: dict[str, Any]) -> dict[str, Any]:
    return details | ({"display": details["display"] or "?"} if kind == "application" else {})


def _ending(details: dict[str, Any], zone: tzinfo, words: Words) -> str:
    moment = words.moment(datetime.fromisoformat(details["ends_at"]), zone)
    trial, over = details["source"] == "trial", details.get("over", False)
    if trial:
        ended = words.say("Your trial ended at {moment}. VPN is off.", moment=moment)
        return ended if over else words.say("Your trial ends at {moment}.", moment=moment)
    if over:
        return words.say(
            "Your subscription ({plan}) ended at {moment}. VPN is off.", plan=details["plan"], moment=moment
        )
    return words.say("Your subscription ({plan}) ends at {moment}.", plan=details["plan"], moment=moment)


def _quota(details: dict[str, Any], _zone: tzinfo, words: Words) -> str:
    left, limit = max(0, details["limit"] - details["used"]), words.size(details["limit"])
    if not left:
        return words.say("⛔ Your traffic ({limit}) is used up; VPN is off until it comes back by itself.", limit=limit)
    return words.say("⏳ {left} of your traffic ({limit}) are left.", left=words.size(left), limit=limit)


def _granted(details: dict[str, Any], zone: tzinfo, words: Words) -> str:
    moment = words.moment(datetime.fromisoformat(details["ends_at"]), zone)
    return words.say("Your access ({plan}) now lasts until {moment}.", plan=details["plan"], moment=moment)


def _file(details: dict[str, Any], _zone: tzinfo, words: Words) -> str:
    values = {key: details[key] for key in ("device", "node", "app")}
    told = words.say("{device}, server {node}. Import it in the app {app}; /help says how.", **values)
    if not details.get("old"):
        return told
    first = words.say("⚠️ First delete the old tunnel {tunnel} in the app.", tunnel=details["old"])
    return Said(f"{told}\n{first}")


def tap(words: Words) -> str:
    """Return what is said before a link that a tap copies."""
    return words.say("Or tap this to copy it, and paste it into the app:")


def _picture(details: dict[str, Any], _zone: tzinfo, words: Words) -> str:
    values = {key: details[key] for key in ("device", "app")}
    return words.say("{device}: scan it in the app {app}. Who has this picture is you: show it to nobody.", **values)
