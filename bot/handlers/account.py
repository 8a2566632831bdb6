"""A user's own affairs: status, traffic, plans, trial, help, language."""

from __future__ import annotations

from dataclasses import replace

from bot.handlers import home
from bot.screen import Screen, grid, label, lines
from bot.talk import PAGE, Talk, rows
from vpnctl.actions.people import users
from vpnctl.actions.sales import plans, trials
from vpnctl.actions.talk import drafts, requests
from vpnctl.errors import TrialUsed
from vpnctl.reports import PeerView, mine, traffic
from vpnctl.rules.translation import mark
from vpnctl.store.rows import Plan
from vpnctl.texts import handout
from vpnctl.texts.wording import Choice
from vpnctl.texts.words import NATIVE

STATES = {
    "active": mark("working"),
    "active, being replaced": mark("working"),
    "pending": mark("being set up"),
    "suspended": mark("suspended"),
    "over quota": mark("cut: traffic used up"),
    "expired": mark("cut: time is over"),
    "blocked": mark("cut"),
}
"""Observed states of a device, as users read them."""
CUT = mark("being cut")
MONTHS = 3
SHOWN = 10


def status(talk: Talk) -> Screen:
    """Show access and every device, as last read on the nodes."""
    seen = mine.overview(talk.tx, talk.now, talk.person)
    parts = [_device(talk, each) for each in seen.devices[:SHOWN]]
    text = lines(talk.words.say("<b>Status</b>"), home.access(talk, seen), home.devices(talk, seen), *parts)
    return Screen(text, rows([talk.choice("🔄 Refresh", "status")], talk.back()))


def _device(talk: Talk, each: PeerView) -> str:
    state = talk.words.say(STATES.get(each.state, CUT))
    values = {"device": each.device, "node": each.node, "state": state}
    if each.online:
        return talk.words.say("• <b>{device}</b>, {node}: {state}, online", **values)
    if each.handshake_at is None:
        return talk.words.say("• <b>{device}</b>, {node}: {state}, never used", **values)
    values["moment"] = talk.words.moment(each.handshake_at, talk.app.settings.zone)
    return talk.words.say("• <b>{device}</b>, {node}: {state}, last seen {moment}", **values)


def stats(talk: Talk) -> Screen:
    """Show this month's traffic against the quota, and the months before."""
    seen = mine.overview(talk.tx, talk.now, talk.person)
    months = traffic.by_month(talk.tx, talk.now, MONTHS, user_id=talk.person.id)
    size = talk.words.size
    parts = [
        talk.words.say("{month}: ⬇️ {down} ⬆️ {up}", month=each.span, down=size(each.sent), up=size(each.received))
        for each in reversed(months)
    ]
    limit = talk.words.say("Without a limit.") if seen.traffic is None else _quota(talk, seen.used, seen.traffic)
    text = lines(talk.words.say("<b>Traffic of this month</b>: {used}", used=size(seen.used)), limit, *parts)
    return Screen(text, (talk.back(),))


def _quota(talk: Talk, used: int, limit: int) -> str:
    values = {"left": talk.words.size(max(0, limit - used)), "limit": talk.words.size(limit)}
    return talk.words.say("{left} of {limit} are left; it begins anew on the 1st.", **values)


def plans_(talk: Talk) -> Screen:
    """Show what can be had."""
    found = mine.on_sale(talk.tx)
    if not found:
        return Screen(talk.words.say("There are no plans."), (talk.back(),))
    choices = [Choice(label(_title(each)), "plan", {"name": each.name}) for each in found]
    first = talk.args.get("from", 0)
    text = lines(talk.words.say("<b>Plans</b>"), *(_plan(talk, each) for each in found[first : first + PAGE]))
    return Screen(text, (*talk.page(choices, "plans"), talk.back()))


def _title(plan: Plan) -> str:
    return plan.title or plan.name


def _plan(talk: Talk, plan: Plan) -> str:
    words = talk.words
    what = [words.many("{n} day", "{n} days", plan.days)]
    what += [words.many("{n} device", "{n} devices", plan.devices)] if plan.devices else []
    what += [words.say("{size} a month", size=words.size(plan.traffic))] if plan.traffic is not None else []
    what += [words.money(amount, currency) for currency, amount in sorted(plan.prices.items())]
    return words.say("• <b>{plan}</b>: {what}", plan=_title(plan), what=words.listed(what))


def plan(talk: Talk) -> Screen:
    """Show one plan. What was chosen is remembered until it is asked for or dropped."""
    found = plans.for_sale(talk.tx, talk.args["name"])
    drafts.keep(talk.tx, talk.person, found.name, talk.now)
    text = lines(_plan(talk, found), talk.words.say("An admin gets your wish and tells you how to pay."))
    yes, no = talk.choice("✅ I want it", "order", name=found.name), talk.choice("✖️ Not now", "drop")
    return Screen(text, rows([yes, no], talk.back("plans")))


def order(talk: Talk) -> Screen:
    """Ask the admins for a plan."""
    found = plans.for_sale(talk.tx, talk.args["name"])
    requests.want(talk.app, talk.person, requests.PLAN, {"plan": found.name})
    drafts.drop(talk.tx, talk.person)
    text = talk.words.say("Your wish for <b>{plan}</b> was sent to an admin. You are told here.", plan=_title(found))
    return Screen(text, (talk.back(),))


def drop(talk: Talk) -> Screen:
    """Forget what was chosen."""
    drafts.drop(talk.tx, talk.person)
    return home.show(talk)


def trial(talk: Talk) -> Screen:
    """Offer the trial."""
    found = mine.may_try(talk.tx, talk.person)
    if found is None:
        return Screen(talk.words.say("There is no trial for you."), (talk.back(),))
    text = lines(talk.words.say("<b>Free trial</b>, once a person"), _plan(talk, found))
    return Screen(text, rows([talk.choice("✅ Begin", "tried")], talk.back()))


def tried(talk: Talk) -> Screen:
    """Begin the trial."""
    try:
        talk.settle(trials.start(talk.app, talk.person.name).node_ids)
    except TrialUsed:
        return Screen(talk.words.say("You had a trial already."), (talk.back(),))
    return home.show(talk)


def help_(talk: Talk) -> Screen:
    """Ask for which platform; everybody may read it."""
    choices = [Choice(title, "steps", {"platform": key}) for key, title in handout.TITLES.items()]
    text = talk.words.say("<b>Help</b>\nWhat do you want to connect?")
    return Screen(text, (*grid(choices), talk.back()))


def steps(talk: Talk) -> Screen:
    """Show what to do on a platform."""
    platform = talk.args["platform"]
    there = mine.devices(talk.tx, talk.now, talk.user) if talk.user else []
    protocol = there[0].protocol if there else handout.usual()
    file = handout.file_name(
        protocol, *((there[0].user, there[0].device, there[0].id) if there else ("vpn", "main", ""))
    )
    said = handout.steps(protocol, platform, file, talk.words)
    numbered = [f"{number}. {step}" for number, step in enumerate(said, 1)]
    app = handout.app(protocol, platform)
    get = Choice(f"⬇️ {app.name}", url=app.url)
    text = lines(f"<b>{handout.TITLES[platform]}</b>", *numbered)
    return Screen(text, rows([get], talk.back("help")))


def language(talk: Talk) -> Screen:
    """Ask for the language."""
    choices = [Choice(name, "speak", {"locale": locale}) for locale, name in NATIVE.items()]
    return Screen(talk.words.say("<b>Language</b>"), (*grid(choices, 3), talk.back()))


def speak(talk: Talk) -> Screen:
    """Change the language; what comes next is in it."""
    users.change(talk.app, talk.person.name, {"locale": talk.args["locale"]})
    return home.show(replace(talk, user=replace(talk.person, locale=talk.args["locale"])))
