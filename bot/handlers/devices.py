"""A person's devices, one by one: what can be done with each, another name, and taking it away."""

from __future__ import annotations

from typing import Any

from bot.context import Context, rows
from bot.handlers import configs
from bot.screen import Rows, Screen, grid, label, lines
from vpnctl.actions.people import peers
from vpnctl.actions.talk import prompts
from vpnctl.errors import Conflict, InvalidInput
from vpnctl.reports import mine
from vpnctl.reports.devices import PeerView
from vpnctl.rules import grammar
from vpnctl.rules.translation import mark
from vpnctl.texts.letter import Choice

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


def line(ctx: Context, each: PeerView) -> str:
    """Return a device in a line."""
    state = ctx.words.say(STATES.get(each.state, CUT))
    values = {"device": each.device, "node": each.node, "state": state}
    if each.online:
        return ctx.words.say("• <b>{device}</b>, {node}: {state}, online", **values)
    if each.handshake_at is None:
        return ctx.words.say("• <b>{device}</b>, {node}: {state}, never used", **values)
    values["moment"] = ctx.words.moment(each.handshake_at, ctx.app.settings.zone)
    return ctx.words.say("• <b>{device}</b>, {node}: {state}, last seen {moment}", **values)


def choices(ctx: Context, there: list[PeerView]) -> Rows:
    """Return a button for each device."""
    return ctx.page([Choice(_label(ctx, each), "device", {"id": each.id}) for each in there], "status")


def _label(ctx: Context, each: PeerView) -> str:
    return label(f"{ctx.labels.device(each.device)} · {each.node}")


def card(ctx: Context) -> Screen:
    """Show one device, and what can be done with it."""
    found = mine.device(ctx.tx, ctx.now, ctx.person, ctx.args["id"])
    if found is None:
        return configs.gone(ctx)
    args: dict[str, Any] = {"id": found.id}
    can = [ctx.choice("📄 Config", "config", **args), ctx.choice("🌍 Server", "servers", **args)]
    can += [ctx.choice("🔑 New keys", "renew", **args), ctx.choice("✏️ Rename", "rename", **args)]
    return Screen(line(ctx, found), (*grid([*can, ctx.choice("🗑 Remove", "remove", **args)]), ctx.back("status")))


def rename(ctx: Context) -> Screen:
    """Ask for another name of a device."""
    found = mine.device(ctx.tx, ctx.now, ctx.person, ctx.args["id"])
    if found is None:
        return configs.gone(ctx)
    prompts.ask(ctx.tx, ctx.sender, "renamed", {"id": found.id}, ctx.now)
    text = ctx.words.say(
        "What is {device} to be called? Write it here: Latin letters, digits and hyphens, such as mum-phone.",
        device=found.device,
    )
    return Screen(text, (ctx.back("device", id=found.id),))


def renamed(ctx: Context) -> Screen:
    """Give a device another name. Its config goes on working."""
    found = mine.device(ctx.tx, ctx.now, ctx.person, ctx.args["id"])
    if found is None:
        return configs.gone(ctx)
    try:
        name = grammar.name(ctx.text.strip().lower().replace(" ", "-"), "device name")
        peers.change(ctx.app, f"{ctx.person.name}/{found.device}", name)
    except InvalidInput:
        return rename(ctx)
    except Conflict:
        return _told(ctx.words.say("That name is taken."), rename(ctx))
    return _told(ctx.words.say("It is called <b>{device}</b> now. Its config goes on working.", device=name), card(ctx))


def _told(what: str, shown: Screen) -> Screen:
    return Screen(lines(what, shown.text), shown.rows)


def remove(ctx: Context) -> Screen:
    """Ask whether a device is to be taken away."""
    found = mine.device(ctx.tx, ctx.now, ctx.person, ctx.args["id"])
    if found is None:
        return configs.gone(ctx)
    text = ctx.words.say(
        "Remove <b>{device}</b>? Its config stops working for good, and there is room for another device.",
        device=found.device,
    )
    yes = ctx.choice("🗑 Remove now", "removed", id=found.id)
    return Screen(text, rows([yes], ctx.back("device", id=found.id)))


def removed(ctx: Context) -> Screen:
    """Take a device away for good."""
    found = mine.device(ctx.tx, ctx.now, ctx.person, ctx.args["id"])
    if found is None:
        return configs.gone(ctx)
    ctx.carry_out(peers.revoke(ctx.app, f"{ctx.person.name}/{found.device}"))
    text = ctx.words.say("<b>{device}</b> is removed. The server cuts it within seconds.", device=found.device)
    new = ctx.choice("➕ New device", "kinds")
    return Screen(text, rows([new, ctx.choice("ℹ️ Status", "status")], ctx.back()))
