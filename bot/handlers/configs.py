"""Getting a config, new keys for one, another server. A config leaves once its peer was read on the node."""

from __future__ import annotations

from dataclasses import replace

from bot.context import Context, rows
from bot.screen import Rows, Screen, grid, label
from vpnctl.actions.talk import requests
from vpnctl.errors import Conflict, TooOften
from vpnctl.reports import mine
from vpnctl.reports.devices import PeerView
from vpnctl.texts import handout
from vpnctl.texts.letter import Choice
from vpnctl.texts.words import DEVICES, Words

KINDS = {"phone": "📱", "tablet": "📲", "laptop": "💻", "desktop": "🖥", "tv": "📺", "router": "📡"}
"""Device name -> the sign on its button, before what it is called."""


def get_config(ctx: Context) -> Screen:
    """Ask for which device; who has none chooses what the first one is."""
    there = mine.devices(ctx.tx, ctx.now, ctx.person)
    if not there:
        return kinds(ctx)
    new = ctx.choice("➕ New device", "kinds")
    text = ctx.words.say("<b>Config</b>\nFor which device? You get a file and a QR code.")
    return Screen(text, (*_devices(ctx, there, "config", "configs"), (new,), ctx.back()))


def _devices(ctx: Context, there: list[PeerView], action: str, here: str) -> Rows:
    choices = [
        Choice(label(f"{ctx.labels.device(each.device)} · {each.node}"), action, {"id": each.id}) for each in there
    ]
    return ctx.page(choices, here)


def kinds(ctx: Context) -> Screen:
    """Ask what the new device is; where there is no room for one, say so first."""
    seen = mine.overview(ctx.tx, ctx.now, ctx.person)
    if seen.limit is not None and len(seen.devices) >= seen.limit:
        text = ctx.words.say(
            "Devices: {count} of {limit}. For a new one, remove one or take a bigger plan.",
            count=len(seen.devices),
            limit=seen.limit,
        )
        return Screen(text, rows([ctx.choice("📱 Devices", "status"), ctx.choice("💳 Plans", "plans")], ctx.back()))
    text = ctx.words.say("<b>New device</b>\nWhat is it?")
    return Screen(text, (*grid([_kind(ctx, kind) for kind in KINDS]), ctx.back()))


def _kind(ctx: Context, kind: str) -> Choice:
    return Choice(f"{KINDS[kind]} {ctx.labels.say(DEVICES[kind])}", "add", {"kind": kind})


def add(ctx: Context) -> Screen:
    """Add a device; where nodes serve several protocols, ask which first."""
    kind, protocol = ctx.args["kind"], ctx.args.get("protocol", "")
    served = mine.protocols(ctx.tx)
    if not served:
        return Screen(ctx.words.say("No server is ready yet. Ask an admin."), rows(ctx.contact(), ctx.back()))
    if len(served) > 1 and not protocol:
        choices = [Choice(handout.app_name(each), "add", {"kind": kind, "protocol": each}) for each in served]
        return Screen(ctx.words.say("<b>New device</b>\nFor which app?"), (*grid(choices), ctx.back("kinds")))
    device = requests.device_name(ctx.tx, ctx.person, kind)
    wish = {"device": device, "protocol": protocol or served[0]}
    return _wanted(ctx, requests.want(ctx.app, ctx.person, requests.DEVICE, wish), device)


def again(ctx: Context) -> Screen:
    """Send the config of a device once more."""
    found = mine.device(ctx.tx, ctx.now, ctx.person, ctx.args["id"])
    if found is None:
        return gone(ctx)
    if found.reason is not None:
        text = ctx.words.say("{device} is suspended. Ask an admin.", device=found.device)
        return Screen(text, rows(ctx.contact(), ctx.back()))
    try:
        requests.again(ctx.app, ctx.person, found.id)
    except TooOften:
        raise
    except Conflict:
        text = ctx.words.say("The key of {device} is not kept here. New keys make a new config.", device=found.device)
        return Screen(text, rows([ctx.choice("🔑 New keys", "renew", id=found.id)], ctx.back()))
    return _underway(ctx, found.device)


def _wanted(ctx: Context, asked: requests.Asked, device: str) -> Screen:
    if asked.waits:
        text = ctx.words.say("Your request for {device} was sent to an admin. You get the config here.", device=device)
        return Screen(text, (ctx.back(),))
    ctx.carry_out(asked)
    return _underway(ctx, device)


def _underway(ctx: Context, device: str) -> Screen:
    text = ctx.words.say(
        "The config of <b>{device}</b> comes here as soon as the server has confirmed it, usually within seconds.",
        device=device,
    )
    return Screen(text, rows([ctx.choice("🆘 How to use it", "help")], ctx.back()))


def gone(ctx: Context) -> Screen:
    """Say that a device is not there any more."""
    return Screen(ctx.words.say("That device is not there any more."), (ctx.back(),))


def regen(ctx: Context) -> Screen:
    """Ask which device gets new keys."""
    there = mine.devices(ctx.tx, ctx.now, ctx.person)
    if not there:
        return kinds(ctx)
    text = ctx.words.say("<b>New keys</b>\nFor which device? Use this when a config was seen by somebody else.")
    return Screen(text, (*_devices(ctx, there, "renew", "regen"), ctx.back()))


def renew(ctx: Context) -> Screen:
    """Ask whether to cut the old keys now."""
    found = mine.device(ctx.tx, ctx.now, ctx.person, ctx.args["id"])
    if found is None:
        return gone(ctx)
    text = ctx.words.say("<b>{device}</b>\nIts present config stops working at once. Go on?", device=found.device)
    return Screen(text, rows([ctx.choice("✅ New keys now", "renewed", id=found.id)], ctx.back("regen")))


def renewed(ctx: Context) -> Screen:
    """Give a device new keys; the old ones are cut."""
    found = mine.device(ctx.tx, ctx.now, ctx.person, ctx.args["id"])
    if found is None:
        return gone(ctx)
    return _wanted(
        ctx,
        requests.want(ctx.app, ctx.person, requests.REGEN, {"device": found.device, "peer": found.id}),
        found.device,
    )


def server(ctx: Context) -> Screen:
    """Ask which device moves; a single one needs no question."""
    there = mine.devices(ctx.tx, ctx.now, ctx.person)
    if len(there) == 1:
        return servers(ctx, there[0])
    if not there:
        return kinds(ctx)
    text = ctx.words.say("<b>Server</b>\nWhich device is to use another server?")
    return Screen(text, (*_devices(ctx, there, "servers", "server"), ctx.back()))


def servers(ctx: Context, device: PeerView | None = None) -> Screen:
    """Ask where to."""
    found = device or mine.device(ctx.tx, ctx.now, ctx.person, ctx.args.get("id", ""))
    if found is None:
        return gone(ctx)
    plain = ctx.labels
    choices = [
        Choice(_title(plain, each, found), "move", {"id": found.id, "node": each.name})
        for each in mine.servers(ctx.tx, ctx.now, ctx.person)
    ]
    text = ctx.words.say("<b>Server</b>\n{device} uses {node} now. Where to?", device=found.device, node=found.node)
    return Screen(text, (*ctx.page(choices, "servers", id=found.id), ctx.back()))


def _title(words: Words, each: mine.ServerView, device: PeerView) -> str:
    name = f"{each.region} ({each.name})" if each.region else each.name
    mark_ = "📍 " if each.name == device.node else "" if each.up else "⚠️ "
    return mark_ + name + ("" if each.up else " · " + words.say("troubled"))


def move(ctx: Context) -> Screen:
    """Ask whether to move; the present config lives on for a while."""
    found = mine.device(ctx.tx, ctx.now, ctx.person, ctx.args["id"])
    if found is None:
        return gone(ctx)
    if found.node == ctx.args["node"]:
        return replace(servers(ctx, found), toast=ctx.words.say("It is there already."))
    text = ctx.words.say(
        "Move <b>{device}</b> to {node}? You get a new config; the present one works until you use the new one, or for "
        "{hours} hours more.",
        device=found.device,
        node=ctx.args["node"],
        hours=ctx.app.settings.migration_grace_hours,
    )
    yes = ctx.choice("✅ Move", "moved", id=found.id, node=ctx.args["node"])
    return Screen(text, rows([yes], ctx.back("servers", id=found.id)))


def moved(ctx: Context) -> Screen:
    """Move a device: the new peer works before the old one ends."""
    found = mine.device(ctx.tx, ctx.now, ctx.person, ctx.args["id"])
    node = ctx.args["node"]
    if found is None or all(each.name != node for each in mine.servers(ctx.tx, ctx.now, ctx.person)):
        return gone(ctx)
    wish = {"device": found.device, "peer": found.id, "node": node}
    return _wanted(ctx, requests.want(ctx.app, ctx.person, requests.MOVE, wish), found.device)
