"""A user's own affairs: status, traffic, plans, trial, help, language."""

from __future__ import annotations

from dataclasses import replace

from bot.context import PAGE, Context, rows
from bot.handlers import devices, home, shop
from bot.screen import Screen, grid, label, lines
from vpnctl.actions.people import users
from vpnctl.actions.sales import plans, trials
from vpnctl.actions.talk import drafts, requests
from vpnctl.errors import TrialUsed
from vpnctl.reports import mine, traffic
from vpnctl.reports.devices import PeerView
from vpnctl.rules.translation import mark
from vpnctl.store.rows import Plan
from vpnctl.texts import handout
from vpnctl.texts.letter import Choice
from vpnctl.texts.words import NATIVE

MONTHS = 3
SHOWN = 10


def status(ctx: Context) -> Screen:
    """Show access and every device, as last read on the nodes."""
    seen = mine.overview(ctx.tx, ctx.now, ctx.person)
    parts = [devices.line(ctx, each) for each in seen.devices[:SHOWN]]
    text = lines(ctx.words.say("<b>Status</b>"), home.access(ctx, seen), home.devices(ctx, seen), *parts)
    there = devices.choices(ctx, list(seen.devices)) if seen.reason is None else ()
    return Screen(text, (*there, (ctx.choice("🔄 Refresh", "status"),), ctx.back()))


def stats(ctx: Context) -> Screen:
    """Show this month's traffic against the quota, and the months before."""
    seen = mine.overview(ctx.tx, ctx.now, ctx.person)
    months = traffic.by_month(ctx.tx, ctx.now, MONTHS, user_id=ctx.person.id)
    size = ctx.words.size
    parts = [
        ctx.words.say(
            "{month}: ⬇️ {down} ⬆️ {up}", month=ctx.words.month(each.span), down=size(each.sent), up=size(each.received)
        )
        for each in reversed(months)
    ]
    free = ctx.words.say("Without a limit.") if seen.reason is None else ""
    limit = free if seen.traffic is None else _quota(ctx, seen, seen.traffic)
    text = lines(ctx.words.say(_SPENT[seen.period], used=size(seen.used)), limit, *parts)
    return Screen(text, (ctx.back(),))


_SPENT = {
    "day": mark("<b>Traffic of today</b>: {used}"),
    "week": mark("<b>Traffic of this week</b>: {used}"),
    "month": mark("<b>Traffic of this month</b>: {used}"),
    "rolling": mark("<b>Traffic of 30 days</b>: {used}"),
}
_LEFT = {
    "day": mark("{left} of {limit} are left for today."),
    "week": mark("{left} of {limit} are left; it begins anew on Monday."),
    "month": mark("{left} of {limit} are left; it begins anew on the 1st."),
    "rolling": mark("{left} of {limit} are left of any 30 days."),
}
_EACH = {
    "day": mark("{size} a day"),
    "week": mark("{size} a week"),
    "month": mark("{size} a month"),
    "rolling": mark("{size} in 30 days"),
}


def _quota(ctx: Context, seen: mine.Overview, limit: int) -> str:
    values = {"left": ctx.words.size(max(0, limit - seen.used)), "limit": ctx.words.size(limit)}
    return ctx.words.say(_LEFT[seen.period], **values)


def plans_(ctx: Context) -> Screen:
    """Show what can be had."""
    found = mine.on_sale(ctx.tx)
    if not found:
        return Screen(ctx.words.say("There are no plans."), (ctx.back(),))
    choices = [Choice(label(each.called(ctx.locale)), "plan", {"name": each.name}) for each in found]
    first = ctx.args.get("from", 0)
    text = lines(ctx.words.say("<b>Plans</b>"), *(_plan(ctx, each) for each in found[first : first + PAGE]))
    return Screen(text, (*ctx.page(choices, "plans"), ctx.back()))


def _plan(ctx: Context, plan: Plan) -> str:
    words = ctx.words
    what = [words.many("{n} day", "{n} days", plan.days)]
    what += [words.many("{n} device", "{n} devices", plan.devices)] if plan.devices else []
    if plan.traffic is not None:
        what.append(words.say(_EACH[plan.traffic_period], size=words.size(plan.traffic)))
    if plan.node_traffic is not None:
        what.append(words.say("{size} on each server", size=words.size(plan.node_traffic)))
    what += [words.money(amount, currency) for currency, amount in sorted(plan.prices.items())]
    return words.say("• <b>{plan}</b>: {what}", plan=plan.called(words.locale), what=words.listed(what))


def plan(ctx: Context) -> Screen:
    """Show one plan. What was chosen is remembered until it is asked for or dropped."""
    found = plans.for_sale(ctx.tx, ctx.args["name"])
    drafts.keep(ctx.tx, ctx.person, found.name, ctx.now)
    ways = shop.choices(ctx, found.name) if not ctx.person.unlimited else []
    if ways:
        text = lines(_plan(ctx, found), shop.begins(ctx, found.name), ctx.words.say("How do you want to pay?"))
        return Screen(text, rows(*grid(ways, 1), ctx.back("plans")))
    text = lines(_plan(ctx, found), ctx.words.say("An admin gets your wish and tells you how to pay."))
    yes, no = ctx.choice("✅ I want it", "order", name=found.name), ctx.choice("✖️ Not now", "drop")
    return Screen(text, rows([yes, no], ctx.back("plans")))


def order(ctx: Context) -> Screen:
    """Ask the admins for a plan."""
    found = plans.for_sale(ctx.tx, ctx.args["name"])
    requests.want(ctx.app, ctx.person, requests.PLAN, {"plan": found.name})
    drafts.drop(ctx.tx, ctx.person)
    return wish(ctx)


def wish(ctx: Context) -> Screen:
    """Show the plan that waits for an admin, and the way back."""
    row = requests.wish(ctx.tx, ctx.person)
    if row is None:
        return home.show(ctx)
    plan = plans.titles(ctx.tx, ctx.locale).get(row.details["plan"], row.details["plan"])
    text = ctx.words.say("🧾 Your wish: <b>{plan}</b>. It waits for an admin; you are told here.", plan=plan)
    back = ctx.choice("✖️ Withdraw", "withdraw", id=row.id)
    return Screen(text, rows(ctx.contact(), [back], ctx.back()))


def withdraw(ctx: Context) -> Screen:
    """Take a wish back."""
    requests.withdraw(ctx.app, ctx.person, ctx.args["id"])
    return home.show(ctx)


def drop(ctx: Context) -> Screen:
    """Forget what was chosen."""
    drafts.drop(ctx.tx, ctx.person)
    return home.show(ctx)


def trial(ctx: Context) -> Screen:
    """Offer the trial."""
    found = mine.may_try(ctx.tx, ctx.person)
    if found is None:
        return Screen(ctx.words.say("There is no trial for you."), (ctx.back(),))
    text = lines(ctx.words.say("<b>Free trial</b>, once a person"), _plan(ctx, found))
    return Screen(text, rows([ctx.choice("✅ Begin", "tried")], ctx.back()))


def tried(ctx: Context) -> Screen:
    """Begin the trial."""
    try:
        ctx.carry_out(trials.start(ctx.app, ctx.person.name))
    except TrialUsed:
        return Screen(ctx.words.say("You had a trial already."), (ctx.back(),))
    return home.show(ctx)


def help_(ctx: Context) -> Screen:
    """Ask for which platform; everybody may read it."""
    choices = [Choice(title, "steps", {"platform": key}) for key, title in handout.TITLES.items()]
    text = ctx.words.say("<b>Help</b>\nWhat do you want to connect?")
    return Screen(text, rows(*grid(choices), ctx.contact(), ctx.back()))


def steps(ctx: Context) -> Screen:
    """Show what to do on a platform."""
    platform = ctx.args["platform"]
    there = _fitting(mine.devices(ctx.tx, ctx.now, ctx.user) if ctx.user else [], platform)
    protocol = there[0].protocol if there else handout.usual()
    file = handout.file_name(
        protocol, *((there[0].user, there[0].device, there[0].id) if there else ("vpn", "main", ""))
    )
    said = handout.steps(protocol, platform, file, ctx.words)
    numbered = [f"{number}. {step}" for number, step in enumerate(said, 1)]
    app = handout.app(protocol, platform)
    get = Choice(f"⬇️ {app.name}", url=app.url)
    text = lines(f"<b>{handout.TITLES[platform]}</b>", *numbered)
    return Screen(text, rows([get], ctx.contact(), ctx.back("help")))


_KINDS = {"ios": ("phone", "tablet"), "android": ("phone", "tablet", "tv"), "linux": ("laptop", "desktop", "router")}
_COMPUTERS = ("laptop", "desktop")


def _fitting(there: list[PeerView], platform: str) -> list[PeerView]:
    """Return the devices of a person that are of such a platform, as their names say; all where none says so."""
    kinds = _KINDS.get(platform, _COMPUTERS)
    return [each for each in there if each.device.startswith(kinds)] or there


def language(ctx: Context) -> Screen:
    """Ask for the language."""
    choices = [Choice(name, "speak", {"locale": locale}) for locale, name in NATIVE.items()]
    return Screen(ctx.words.say("<b>Language</b>"), (*grid(choices, 3), ctx.back()))


def speak(ctx: Context) -> Screen:
    """Change the language; what comes next is in it."""
    users.change(ctx.app, ctx.person.name, {"locale": ctx.args["locale"]})
    return home.show(replace(ctx, user=replace(ctx.person, locale=ctx.args["locale"])))
