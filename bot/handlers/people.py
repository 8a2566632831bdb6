"""What admins do with people. Weaker than the command line on purpose: no keys, no configs, no removal, a brake."""

from __future__ import annotations

from bot.screen import Screen, grid, label, lines
from bot.talk import PAGE, Talk, rows
from vpnctl.actions.people import applicants, invites, users
from vpnctl.actions.sales import plans, subscriptions
from vpnctl.actions.talk import requests
from vpnctl.errors import Conflict, NotFound
from vpnctl.reports import mine, people
from vpnctl.reports.people import UserView
from vpnctl.rules import grammar
from vpnctl.rules.access import Reason
from vpnctl.rules.translation import mark
from vpnctl.store.rows import User
from vpnctl.texts.wording import Choice
from vpnctl.texts.words import Words

EXTENSIONS = (1, 7, 31)
"""Days; more at once is the command line's business."""
INVITE_DAYS = 7
ACCESS = {
    "unlimited": mark("unlimited"),
    Reason.BLOCKED: mark("suspended"),
    Reason.NOT_APPROVED: mark("waits for approval"),
    Reason.NO_ACCESS: mark("no subscription yet"),
    Reason.ENDED: mark("subscription ended"),
    Reason.CANCELLED: mark("subscription cancelled"),
    Reason.QUOTA: mark("traffic of this month used up"),
}
"""How access is told where it is not a plan."""
STATES = {"active": mark("let in"), "blocked": mark("suspended"), "waiting": mark("waits for approval")}


def list_(talk: Talk) -> Screen:
    """List people by name, a page at a time; what is behind /users is searched for."""
    search, after = talk.args.get("search", talk.text)[:32], talk.args.get("after", "")
    found = people.users(talk.tx, talk.now, people.Which(search=search), limit=PAGE + 1, after=after)
    choices = [Choice(label(_label(each)), "user", {"id": each.id}) for each in found[:PAGE]]
    text = lines(
        talk.words.say("<b>People</b>"),
        talk.words.say("Search: {search}", search=search) if search else "",
        talk.words.say("Nobody.") if not found else "",
        talk.words.say("To search: /users part-of-name. To add: /add_user name."),
    )
    more = [talk.choice("First page", "users", search=search)] if after else []
    more += [talk.choice("Next ›", "users", search=search, after=found[PAGE - 1].name)] if len(found) > PAGE else []
    return Screen(text, rows(*grid(choices, 1), more, talk.back()))


def _label(each: UserView) -> str:
    sign = {"waiting": "⏳ ", "blocked": "⛔ "}.get(each.state, "🟢 " if each.online else "")
    return sign + each.name + (f" · {each.display_name}" if each.display_name else "")


def card(talk: Talk) -> Screen:
    """Show one person, and what can be done."""
    row = _by_id(talk)
    each = people.users(talk.tx, talk.now, people.Which(name=row.name))[0]
    say = talk.words.say
    text = lines(
        say("<b>{name}</b> {display}", name=each.name, display=each.display_name),
        say("State: {state}", state=say(STATES[each.state])),
        say("Access: {access}", access=say(ACCESS[each.access]) if each.access in ACCESS else each.access),
        say("Until: {until}", until=talk.words.moment(each.until, talk.app.settings.zone)) if each.until else "",
        say("This month: {used}", used=talk.words.size(each.used)),
        say("Devices: {count}, {online} online", count=each.devices, online=each.online),
        say("Telegram: {id}", id=each.telegram_id) if each.telegram_id else say("No Telegram account."),
    )
    return Screen(text, rows(*_can(talk, each, row.id), talk.back("users")))


def _can(talk: Talk, each: UserView, user_id: str) -> list[list[Choice]]:
    if each.state == "waiting":
        return [[talk.choice("✅ Let in", "approve", id=user_id), talk.choice("⛔ Turn away", "reject", id=user_id)]]
    if each.state == "blocked":
        return [[talk.choice("✅ Let connect again", "unblock", id=each.id)]]
    labels = Words(talk.locale)
    more = (
        []
        if each.until is None
        else [
            Choice("+ " + labels.many("{n} day", "{n} days", days), "extend", {"id": each.id, "days": days})
            for days in EXTENSIONS
        ]
    )
    sell = [talk.choice("💳 Give a plan", "give", id=each.id)] if mine.on_sale(talk.tx) else []
    return [more, sell, [talk.choice("⛔ Suspend", "suspend", id=each.id)]]


def approve(talk: Talk) -> Screen:
    """Let somebody in who waits."""
    row = _by_id(talk)
    talk.act("user.approve", user=row.name)
    applicants.approve(talk.app, row.name)
    return Screen(talk.words.say("✅ {name} {display} is let in.", name=row.name, display=row.display_name))


def reject(talk: Talk) -> Screen:
    """Turn somebody away who waits."""
    row = _by_id(talk)
    talk.act("user.reject", takes=True, user=row.name)
    applicants.reject(talk.app, row.name)
    return Screen(talk.words.say("⛔ {name} {display} is turned away.", name=row.name, display=row.display_name))


def _by_id(talk: Talk) -> User:
    row = users.by_id(talk.tx, talk.args["id"])
    if row is None:
        raise NotFound("that person is not there any more")
    return row


def extend(talk: Talk) -> Screen:
    """Give some days more."""
    name, days = _by_id(talk).name, talk.args["days"]
    talk.act("subscription.extend", user=name, days=days)
    granted = subscriptions.extend(talk.app, name, days=days)
    requests.tell_access(talk.app, granted)
    talk.settle(granted.node_ids)
    return card(talk)


def give(talk: Talk) -> Screen:
    """Ask which plan."""
    row = _by_id(talk)
    sold = mine.on_sale(talk.tx)
    choices = [Choice(label(each.title or each.name), "given", {"id": row.id, "plan": each.name}) for each in sold]
    text = talk.words.say("Which plan for <b>{name}</b>?", name=row.name)
    return Screen(text, rows(*talk.page(choices, "give", id=row.id), talk.back("user", id=row.id)))


def given(talk: Talk) -> Screen:
    """Give a plan."""
    name, plan = _by_id(talk).name, plans.for_sale(talk.tx, talk.args["plan"])
    talk.act("subscription.grant", user=name, plan=plan.name)
    granted = subscriptions.grant(talk.app, name, plan.name)
    requests.tell_access(talk.app, granted)
    talk.settle(granted.node_ids)
    return card(talk)


def suspend(talk: Talk) -> Screen:
    """Ask whether to cut all devices of somebody."""
    row = _by_id(talk)
    text = talk.words.say("Suspend <b>{name}</b>? All devices are cut; keys and addresses are kept.", name=row.name)
    return Screen(text, rows([talk.choice("⛔ Suspend now", "suspended", id=row.id)], talk.back("user", id=row.id)))


def suspended(talk: Talk) -> Screen:
    """Cut all devices of somebody."""
    row = _by_id(talk)
    if row.telegram_id in talk.app.settings.admin_ids:
        raise Conflict("an admin is suspended on the command line only")
    if row.blocked_at is None:
        talk.act("user.block", takes=True, user=row.name)
        talk.settle(users.block(talk.app, row.name)[1])
    return card(talk)


def unblock(talk: Talk) -> Screen:
    """Let somebody connect again."""
    row = _by_id(talk)
    if row.blocked_at is not None:
        talk.act("user.unblock", user=row.name)
        talk.settle(users.unblock(talk.app, row.name)[1])
    return card(talk)


def add_user(talk: Talk) -> Screen:
    """Add a person by name and show the link that lets them in: `/add_user ivan`."""
    if not talk.text:
        return Screen(talk.words.say("Type the name behind it: /add_user ivan"), (talk.back(),))
    name = grammar.name(talk.text.lower(), "user name")
    talk.act("user.add", user=name)
    users.add(talk.app, [name])
    link = invites.link(invites.bot_name(talk.tx), invites.create(talk.app, name, INVITE_DAYS)).reveal()
    say = talk.words.say
    text = say("<b>{name}</b> is added. Send them this link; it works once, for some days:", name=name)
    return Screen(lines(text, link), (talk.back(),))
