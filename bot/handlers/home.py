"""The first screen, which follows what a person may do, and how access is told."""

from __future__ import annotations

from bot.context import Context
from bot.screen import Screen, grid, lines
from vpnctl.actions.sales import orders, plans
from vpnctl.actions.talk import requests
from vpnctl.reports import mine
from vpnctl.store.buying_rows import Order
from vpnctl.texts.letter import Choice
from vpnctl.texts.reasons import why


def show(ctx: Context) -> Screen:
    """Show the menu."""
    if ctx.user is None:
        return Screen(ctx.words.say("<b>Administration</b>"), grid(admin_choices(ctx)))
    seen = mine.overview(ctx.tx, ctx.now, ctx.user)
    text = lines(ctx.words.say("<b>Your VPN</b>"), access(ctx, seen), devices(ctx, seen))
    choices = connected(ctx) if seen.reason is None else []
    choices += sale(ctx, bare=seen.reason is not None)
    choices += [ctx.choice("🆘 Help", "help"), ctx.choice("🌐 Language", "language")]
    return Screen(text, grid(choices + (admin_choices(ctx) if ctx.admin else [])))


def access(ctx: Context, seen: mine.Overview) -> str:
    """Return a person's access in a line."""
    if seen.unlimited and seen.reason is None:
        return ctx.words.say("Access: unlimited")
    if seen.reason is not None:
        return why(ctx.words, seen.reason)
    if seen.until is None:
        return ""
    values = {"plan": seen.plan, "left": ctx.words.left(seen.until, ctx.now)}
    values["moment"] = ctx.words.moment(seen.until, ctx.app.settings.zone)
    if seen.trial:
        return ctx.words.say("Trial until {moment} ({left} left)", **values)
    return ctx.words.say("Access: {plan} until {moment} ({left} left)", **values)


def devices(ctx: Context, seen: mine.Overview) -> str:
    """Return how many devices there are, in a line."""
    count, online = len(seen.devices), sum(bool(each.online) for each in seen.devices)
    if seen.limit is not None:
        values = {"count": count, "limit": seen.limit, "online": online}
        return ctx.words.say("Devices: {count} of {limit}, {online} online", **values)
    return ctx.words.say("Devices: {count}, {online} online", count=count, online=online)


def connected(ctx: Context) -> list[Choice]:
    """Return what somebody with access can do."""
    return [
        ctx.choice("📱 Get config", "configs"),
        ctx.choice("🔑 New keys", "regen"),
        ctx.choice("🌍 Server", "server"),
        ctx.choice("ℹ️ Status", "status"),
        ctx.choice("📊 Traffic", "stats"),
    ]


def sale(ctx: Context, *, bare: bool) -> list[Choice]:
    """Return the way to access; who has none sees only that, and the trial where there is one."""
    trial, draft = mine.may_try(ctx.tx, ctx.person), mine.draft(ctx.tx, ctx.person)
    waits = orders.open_orders(ctx.tx, ctx.person)
    if waits:
        return _waiting(ctx, waits[0], bare=bare)
    if requests.wish(ctx.tx, ctx.person) is not None:
        return [ctx.choice("🧾 Your wish", "wish")] + ([ctx.choice("ℹ️ Status", "status")] if bare else [])
    title = {"plan": plans.titles(ctx.tx, ctx.locale).get(draft, draft)}
    found = [ctx.choice("▶️ Go on: {plan}", "plan", with_=title, name=draft)] if draft else []
    found += [ctx.choice("💳 Plans", "plans")] if mine.on_sale(ctx.tx) else []
    found += [ctx.choice("🎁 Free trial", "trial")] if trial else []
    return found + ([ctx.choice("ℹ️ Status", "status")] if bare else [])


def _waiting(ctx: Context, order: Order, *, bare: bool) -> list[Choice]:
    """Return the way on with an order that waits, in place of all that could be bought."""
    there = [ctx.choice("🧾 Order {number}", "order_", with_={"number": order.number}, order=order.id)]
    return there + ([ctx.choice("ℹ️ Status", "status")] if bare else [])


def admin_choices(ctx: Context) -> list[Choice]:
    """Return what an admin sees in addition."""
    return [
        ctx.choice("👥 People", "users"),
        ctx.choice("🖥 Servers", "nodes"),
        ctx.choice("📌 To do", "pending"),
    ]
