"""What admins see of the service: servers as `health` judges them, what waits, and requests to decide."""

from __future__ import annotations

from datetime import timedelta

from bot.context import Context, rows
from bot.screen import Screen, grid, label, lines
from vpnctl.actions.talk import lockdown as locking
from vpnctl.actions.talk import requests
from vpnctl.reports import asking, fleet, people, status
from vpnctl.rules.grammar import clean
from vpnctl.rules.translation import mark
from vpnctl.store import find
from vpnctl.texts import wording
from vpnctl.texts.letter import Choice

SHOWN, MANY = 20, 200
VERDICTS = {
    "up": mark("🟢 up"),
    "degraded": mark("🟠 degraded"),
    "blocked": mark("🔴 blocked"),
    "down": mark("🔴 down"),
    "flapping": mark("🟠 flapping"),
    "unknown": mark("⚪️ not checked yet"),
}


def nodes(ctx: Context) -> Screen:
    """Show the servers: verdict, state, load."""
    found = fleet.nodes(ctx.tx, ctx.now, planned=False)
    parts = [_node(ctx, each) for each in found[:SHOWN]]
    text = lines(ctx.words.say("<b>Servers</b>"), *(parts or [ctx.words.say("None yet.")]))
    return Screen(text, rows([ctx.choice("🔄 Refresh", "nodes")], ctx.back()))


def _node(ctx: Context, each: fleet.NodeView) -> str:
    say = ctx.words.say
    room = f"{each.peers}/{each.capacity}" if each.capacity is not None else str(each.peers)
    values = {"name": each.name, "verdict": say(VERDICTS.get(each.health, each.health)), "room": room}
    line = say("<b>{name}</b>: {verdict}, devices: {room}, online: {online}", online=each.online, **values)
    bare = (each.last_error or "").removeprefix(f"{each.name}: ")
    trouble = bare or ("" if each.state in ("settled", "draining") else each.state)
    return lines(line, say("   {trouble}", trouble=clean(trouble, 150)) if trouble else "")


def pending(ctx: Context) -> Screen:
    """Show who waits for a word, what was asked for, and what needs the operator."""
    waiting = people.waiting(ctx.tx, MANY)
    asked = asking.requests(ctx.tx, limit=MANY)
    needs = status.page(ctx.tx, ctx.now).attention[:SHOWN]
    labels = ctx.labels
    choices = [Choice(label(f"⏳ {each.name} · {each.display_name}"), "user", {"id": each.id}) for each in waiting]
    told = [(f"❓ {each.user}: {wording.ask(each.told, labels)}", each.id) for each in asked]
    choices += [Choice(label(text), "request", {"id": request_id}) for text, request_id in told]
    what = [ctx.words.say("• {subject}: {what}", subject=each.subject, what=clean(each.what, 150)) for each in needs]
    text = lines(ctx.words.say("<b>To do</b>"), *(what or ([] if choices else [ctx.words.say("Nothing.")])))
    return Screen(text, rows(*ctx.page(choices, "pending"), [ctx.choice("🔄 Refresh", "pending")], ctx.back()))


def request(ctx: Context) -> Screen:
    """Show one request."""
    found = asking.request(ctx.tx, ctx.args["id"])
    if found is None:
        return Screen(ctx.words.say("That is settled already."), (ctx.back("pending"),))
    row = find.user(ctx.tx, found.user)
    text = wording.wanted(found.told | requests.about(ctx.tx, row, found.details), ctx.words)
    yes, no = ctx.choice("✅ Grant", "grant", id=found.id), ctx.choice("⛔ Refuse…", "declining", id=found.id)
    return Screen(text, rows([yes, no], [ctx.choice("👤 Card", "user", id=row.id)], ctx.back("pending")))


def grant(ctx: Context) -> Screen:
    """Grant what was asked for."""
    return _decide(ctx, granted=True)


def declining(ctx: Context) -> Screen:
    """Ask why a request is refused."""
    found = asking.request(ctx.tx, ctx.args["id"])
    if found is None:
        return Screen(ctx.words.say("That is settled already."), (ctx.back("pending"),))
    why = [Choice(ctx.labels.say(text), "refuse", {"id": found.id, "reason": key}) for key, text in REASONS.items()]
    text = ctx.words.say("Why is it refused? {user} reads it.", user=found.user)
    return Screen(text, (*grid(why, 1), ctx.back("request", id=found.id)))


REASONS = {
    "full": mark("There is no room at the moment"),
    "write": mark("Please write to an admin first"),
    "paid": mark("The money did not come"),
    "": mark("Without a reason"),
}
"""Why requests are refused, by button."""


def refuse(ctx: Context) -> Screen:
    """Refuse what was asked for."""
    return _decide(ctx, granted=False)


def _reason(ctx: Context) -> str:
    key = ctx.args.get("reason", "")
    return REASONS.get(key, "") if key else ""


def _decide(ctx: Context, *, granted: bool) -> Screen:
    told = asking.told(ctx.tx, ctx.args["id"])
    ctx.act("request.grant" if granted else "request.refuse", takes=not granted, **told)
    decided = ctx.carry_out(requests.decide(ctx.app, ctx.args["id"], granted=granted, reason=_reason(ctx))).made
    row, user = decided.request, decided.user
    what = wording.ask({"kind": row.kind, **row.details}, ctx.words)
    form = mark("✅ {user} gets {what}.") if granted else mark("⛔ {user} does not get {what}.")
    next_ = [ctx.choice("👤 Card", "user", id=user.id), ctx.choice("📌 To do", "pending")]
    return Screen(ctx.words.say(form, user=user.name, what=what), rows(next_, ctx.back()))


def lockdown(ctx: Context) -> Screen:
    """Ask for how long the bot is to be closed: `/lockdown`, with a reason behind it."""
    reason = ctx.text[:200]
    text = ctx.words.say(
        "Close the bot? Nobody gets in, no button acts, no config leaves; devices stay connected. "
        "To tell people why: /lockdown reason. It is opened on the operator's machine: vpnctl bot unlock"
    )
    hour = ctx.choice("🔒 For an hour", "lock", reason=reason, hours=1)
    return Screen(text, rows([hour, ctx.choice("🔒 Until opened", "lock", reason=reason)], ctx.back()))


def lock(ctx: Context) -> Screen:
    """Close the bot."""
    hours = ctx.args.get("hours")
    ctx.act("bot.lockdown", takes=True)
    locking.lock(ctx.app, ctx.args["reason"], ctx.now + timedelta(hours=hours) if hours else None)
    return Screen(ctx.words.say("The bot is closed. On the operator's machine: vpnctl bot unlock"))
