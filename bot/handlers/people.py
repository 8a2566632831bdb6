"""What admins do with people. Weaker than the command line on purpose: no keys, no configs, no removal, a brake."""

from __future__ import annotations

from bot.context import PAGE, Context, rows
from bot.handlers import shop
from bot.screen import Rows, Screen, grid, label, lines
from vpnctl.actions.people import applicants, invites, users
from vpnctl.actions.sales import methods, plans, subscriptions
from vpnctl.actions.sales.subscriptions import Granted
from vpnctl.actions.service import undo
from vpnctl.actions.talk import requests
from vpnctl.errors import Conflict, NotFound
from vpnctl.reports import mine, people
from vpnctl.reports.people import UserView
from vpnctl.rules import grammar
from vpnctl.rules.access import Reason
from vpnctl.rules.translation import mark
from vpnctl.store.rows import User
from vpnctl.texts.letter import Choice
from vpnctl.texts.words import Said

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


def list_(ctx: Context) -> Screen:
    """List people by name, a page at a time; what is behind /users is searched for."""
    search, after = ctx.args.get("search", ctx.text)[:32], ctx.args.get("after", "")
    found = people.users(ctx.tx, ctx.now, people.UserFilter(search=search), limit=PAGE + 1, after=after)
    choices = [Choice(label(_label(each)), "user", {"id": each.id}) for each in found[:PAGE]]
    text = lines(
        ctx.words.say("<b>People</b>"),
        ctx.words.say("Search: {search}", search=search) if search else "",
        ctx.words.say("Nobody.") if not found else "",
        ctx.words.say("To search: /users part-of-name. To add: /add_user name."),
    )
    more = [ctx.choice("First page", "users", search=search)] if after else []
    more += [ctx.choice("Next ›", "users", search=search, after=found[PAGE - 1].name)] if len(found) > PAGE else []
    return Screen(text, rows(*grid(choices, 1), more, ctx.back()))


def _label(each: UserView) -> str:
    sign = {"waiting": "⏳ ", "blocked": "⛔ "}.get(each.state, "🟢 " if each.online else "")
    return sign + each.name + (f" · {each.display_name}" if each.display_name else "")


def card(ctx: Context, *more: Choice) -> Screen:
    """Show one person, and what can be done, with `more` of it at the end."""
    row = _by_id(ctx)
    each = people.users(ctx.tx, ctx.now, people.UserFilter(name=row.name))[0]
    say = ctx.words.say
    text = lines(
        say("<b>{name}</b> {display}", name=each.name, display=each.display_name),
        say("Has blocked the bot.") if row.bot_blocked_at else "",
        say("State: {state}", state=say(STATES[each.state])),
        say("Access: {access}", access=say(ACCESS[each.access]) if each.access in ACCESS else each.access),
        say("Until: {until}", until=ctx.words.moment(each.until, ctx.app.settings.zone)) if each.until else "",
        say("This month: {used}", used=ctx.words.size(each.used)),
        say("Devices: {count}, {online} online", count=each.devices, online=each.online),
        say("Paid: {count}", count=paid) if (paid := methods.paid(ctx.tx, row)) else "",
        _chat(ctx, each),
    )
    return Screen(text, rows(*_can(ctx, each, row.id), more, ctx.back("users")))


def history(ctx: Context) -> Screen:
    """Show what somebody ordered, the newest first."""
    row = _by_id(ctx)
    found = methods.history(ctx.tx, row, PAGE)
    told = [lines(shop.said(ctx.words, each), _why(ctx, each.reason)) for each in found]
    text = lines(ctx.words.say("<b>Orders</b> of {name}", name=row.name), *(told or [ctx.words.say("None yet.")]))
    return Screen(text, (ctx.back("user", id=row.id),))


def _why(ctx: Context, reason: str | None) -> str:
    return ctx.words.say("Reason: {reason}", reason=ctx.words.translated(reason)) if reason else ""


def _chat(ctx: Context, each: UserView) -> str:
    """Return the person's Telegram id, which a tap opens a chat of where they let it."""
    if not each.telegram_id:
        return ctx.words.say("No Telegram account.")
    link = Said(f'<a href="tg://user?id={each.telegram_id}">{each.telegram_id}</a>')
    return ctx.words.say("Telegram: {id}", id=link)


def _can(ctx: Context, each: UserView, user_id: str) -> list[list[Choice]]:
    if each.state == "waiting":
        return [[ctx.choice("✅ Let in", "approve", id=user_id), ctx.choice("⛔ Turn away", "reject", id=user_id)]]
    if each.state == "blocked":
        return [[ctx.choice("✅ Let connect again", "unblock", id=each.id)]]
    sell = [ctx.choice("💳 Give a plan", "give", id=each.id)] if mine.on_sale(ctx.tx) else []
    last = [ctx.choice("🧾 Orders", "history", id=each.id), ctx.choice("⛔ Suspend", "suspend", id=each.id)]
    return [_more_days(ctx, each), sell, last]


def _more_days(ctx: Context, each: UserView) -> list[Choice]:
    """Return the buttons that give time, where there is access that ends."""
    told = {days: "+ " + ctx.labels.many("{n} day", "{n} days", days) for days in EXTENSIONS if each.until is not None}
    return [Choice(text, "extend", {"id": each.id, "days": days}) for days, text in told.items()]


def approve(ctx: Context) -> Screen:
    """Let somebody in who waits."""
    row = _by_id(ctx)
    ctx.act("user.approve", user=row.name)
    applicants.approve(ctx.app, row.name)
    text = ctx.words.say("✅ {name} {display} is let in.", name=row.name, display=row.display_name)
    return Screen(text, _onward(ctx, row.id))


def reject(ctx: Context) -> Screen:
    """Turn somebody away who waits."""
    row = _by_id(ctx)
    ctx.act("user.reject", takes=True, user=row.name)
    applicants.reject(ctx.app, row.name)
    text = ctx.words.say("⛔ {name} {display} is turned away.", name=row.name, display=row.display_name)
    return Screen(text, _onward(ctx, row.id))


def _onward(ctx: Context, user_id: str) -> Rows:
    """Return what an admin does after a decision."""
    return rows([ctx.choice("👤 Card", "user", id=user_id), ctx.choice("📌 To do", "pending")], ctx.back())


def _by_id(ctx: Context) -> User:
    row = users.by_id(ctx.tx, ctx.args["id"])
    if row is None:
        raise NotFound("that person is not there any more")
    return row


def extend(ctx: Context) -> Screen:
    """Give some days more."""
    name, days = _by_id(ctx).name, ctx.args["days"]
    ctx.act("subscription.extend", user=name, days=days)
    return _gave(ctx, subscriptions.extend(ctx.app, name, days=days))


def _gave(ctx: Context, granted: Granted) -> Screen:
    """Tell the person, and show the card with the way back."""
    requests.tell_access(ctx.app, ctx.carry_out(granted))
    return card(ctx, ctx.choice("↩️ Undo", "take_back", id=granted.user.id, period=granted.subscription.id))


def take_back(ctx: Context) -> Screen:
    """Take back a period that was given a moment ago."""
    ctx.act("subscription.cancel", takes=True, user=_by_id(ctx).name)
    ctx.carry_out(undo.period(ctx.app, ctx.args["period"]))
    requests.tell_end(ctx.app, _by_id(ctx))
    return card(ctx)


def give(ctx: Context) -> Screen:
    """Ask which plan."""
    row = _by_id(ctx)
    sold = mine.on_sale(ctx.tx)
    choices = [Choice(label(each.called(ctx.locale)), "given", {"id": row.id, "plan": each.name}) for each in sold]
    text = ctx.words.say("Which plan for <b>{name}</b>?", name=row.name)
    return Screen(text, rows(*ctx.page(choices, "give", id=row.id), ctx.back("user", id=row.id)))


def given(ctx: Context) -> Screen:
    """Give a plan; where that ends unlimited access, only after a question."""
    row, plan = _by_id(ctx), plans.for_sale(ctx.tx, ctx.args["plan"])
    name = row.name
    if row.unlimited and not ctx.args.get("sure"):
        text = ctx.words.say(
            "<b>{name}</b> is unlimited. With a plan, access ends when the plan does. Go on?", name=name
        )
        yes = ctx.choice("✅ Give the plan", "given", id=row.id, plan=plan.name, sure=True)
        return Screen(text, rows([yes], ctx.back("user", id=row.id)))
    ctx.act("subscription.grant", user=name, plan=plan.name)
    return _gave(ctx, subscriptions.grant(ctx.app, name, plan.name))


def suspend(ctx: Context) -> Screen:
    """Ask whether to cut all devices of somebody."""
    row = _by_id(ctx)
    text = ctx.words.say("Suspend <b>{name}</b>? All devices are cut; keys and addresses are kept.", name=row.name)
    return Screen(text, rows([ctx.choice("⛔ Suspend now", "suspended", id=row.id)], ctx.back("user", id=row.id)))


def suspended(ctx: Context) -> Screen:
    """Cut all devices of somebody."""
    row = _by_id(ctx)
    if row.telegram_id in ctx.app.settings.admin_ids:
        raise Conflict("an admin is suspended on the command line only")
    if row.blocked_at is None:
        ctx.act("user.block", takes=True, user=row.name)
        ctx.carry_out(users.block(ctx.app, row.name))
    return card(ctx)


def unblock(ctx: Context) -> Screen:
    """Let somebody connect again."""
    row = _by_id(ctx)
    if row.blocked_at is not None:
        ctx.act("user.unblock", user=row.name)
        ctx.carry_out(users.unblock(ctx.app, row.name))
    return card(ctx)


def add_user(ctx: Context) -> Screen:
    """Add a person by name and show the link that lets them in: `/add_user ivan`."""
    if not ctx.text:
        return Screen(ctx.words.say("Type the name behind it: /add_user ivan"), (ctx.back(),))
    name = grammar.name(ctx.text.lower(), "user name")
    ctx.act("user.add", user=name)
    users.add(ctx.app, [name])
    link = invites.link(invites.bot_name(ctx.tx), invites.create(ctx.app, name, INVITE_DAYS)).reveal()
    say = ctx.words.say
    text = say("<b>{name}</b> is added. Send them this link; it works once, for some days:", name=name)
    return Screen(lines(text, link), (ctx.back(),))
