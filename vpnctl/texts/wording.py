"""What messages say. A notice holds its kind and details; the text is made when it is sent."""

from __future__ import annotations

from datetime import datetime, tzinfo
from typing import Any

from vpnctl.rules.translation import mark
from vpnctl.texts.letter import Choice, Letter
from vpnctl.texts.money_letters import MONEY
from vpnctl.texts.words import Said, Words

CONTACT = mark("✉️ Write to an admin")
_LINES = 40
"""Of a merged message; the rest is a number."""


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
    "subscription.extend": mark("gave {user} more time: {length}"),
    "subscription.grant": mark("gave {user} the plan {plan}"),
    "subscription.cancel": mark("took back what {user} was given last"),
    "bot.lockdown": mark("closed the bot"),
    "request.grant": mark("granted {user} {what}"),
    "request.refuse": mark("refused {user} {what}"),
    "payment.accept": mark("accepted the receipt of order {number}"),
    "payment.reject": mark("refused the receipt of order {number}"),
}
"""What admins do, as the others hear of it."""


_ASK_AN_ADMIN = ("suspended", "rejected", "refused", "order_refused", "not_paid", "refunded")
"""Messages that somebody may want to ask an admin about."""


def letter(kind: str, details: dict[str, Any], zone: tzinfo, words: Words, contact: str = "") -> Letter:
    """Return a notice as a message. Times are in the operator's `zone`, which is named; `contact`: an admin's page."""
    made = _letter(kind, details, zone, words)
    if not contact or kind not in _ASK_AN_ADMIN:
        return made
    return Letter(made.text, (*made.choices, Choice(words.say(CONTACT), url=contact)))


def _letter(kind: str, details: dict[str, Any], zone: tzinfo, words: Words) -> Letter:
    args = {"id": details.get("id", "")}
    if kind == "application":
        yes, no = Choice(words.say("Let in"), "approve", args), Choice(words.say("Turn away"), "reject", args)
        return Letter(words.say(_FORMS[kind], **_shown(kind, details)), (yes, no))
    if kind == "request":
        yes, no = Choice(words.say("Grant"), "grant", args), Choice(words.say("Refuse…"), "declining", args)
        return Letter(wanted(details, words), (yes, no))
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


def text(kind: str, details: dict[str, Any], zone: tzinfo, words: Words | None = None) -> str:
    """Return what a notice says, plain text, English unless told."""
    words = words or Words()
    special = {"ending": _ending, "quota": _quota, "granted": _granted, "config_file": _file, "config_qr": _picture}
    special |= {"refused": _refused}
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
        length = words.many("{n} day", "{n} days", details["days"]) if "days" in details else ""
        form = ACTS[details["verb"]]
        what = words.say(form, **_asked(details, words), length=length)
        return words.say(_FORMS[kind], admin=details["admin"], what=what)
    if kind == "request":
        return letter(kind, details, zone, words).text
    return words.say(_FORMS[kind], **_asked(_shown(kind, details), words))


def wanted(details: dict[str, Any], words: Words) -> Said:
    """Return who asks an admin for what, at which price, and whether they paid before."""
    display = details.get("display")
    who = f"{display} ({details['user']})" if display else details["user"]
    told = words.say("{user} asks for {what}.", user=who, what=ask(details, words))
    prices = [words.money(amount, code) for code, amount in sorted(details.get("prices", {}).items())]
    price = words.say("Price: {prices}", prices=words.listed(prices)) if prices else ""
    before = words.say("Paid before: {count}", count=details["paid"]) if details.get("paid") else ""
    return Said("\n".join(filter(None, (told, price, before))))


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


def _refused(details: dict[str, Any], _zone: tzinfo, words: Words) -> str:
    told = words.say("Your request was declined: {what}.", what=ask(details, words))
    why = words.say("Reason: {reason}", reason=details["reason"]) if details.get("reason") else ""
    return "\n".join(filter(None, (told, why)))


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
