"""Getting a config, new keys for one, another server. A config leaves once its peer was read on the node."""

from __future__ import annotations

from dataclasses import replace

from bot.screen import Rows, Screen, grid, label
from bot.talk import Talk, rows
from vpnctl.actions.talk import requests
from vpnctl.errors import Conflict, TooOften
from vpnctl.reports import PeerView, mine
from vpnctl.rules.translation import mark
from vpnctl.texts import handout
from vpnctl.texts.wording import Choice
from vpnctl.texts.words import Words

KINDS = {
    "phone": mark("📱 Phone"),
    "tablet": mark("📲 Tablet"),
    "laptop": mark("💻 Laptop"),
    "desktop": mark("🖥 Desktop"),
    "tv": mark("📺 TV"),
    "router": mark("📡 Router"),
}
"""Device name -> what it is called on its button."""


def get_config(talk: Talk) -> Screen:
    """Ask for which device; who has none chooses what the first one is."""
    there = mine.devices(talk.tx, talk.now, talk.person)
    if not there:
        return kinds(talk)
    new = talk.choice("➕ New device", "kinds")
    text = talk.words.say("<b>Config</b>\nFor which device? You get a file and a QR code.")
    return Screen(text, (*_devices(talk, there, "config", "configs"), (new,), talk.back()))


def _devices(talk: Talk, there: list[PeerView], action: str, here: str) -> Rows:
    choices = [Choice(label(f"{each.device} · {each.node}"), action, {"id": each.id}) for each in there]
    return talk.page(choices, here)


def kinds(talk: Talk) -> Screen:
    """Ask what the new device is."""
    text = talk.words.say("<b>New device</b>\nWhat is it?")
    return Screen(text, (*grid([talk.choice(name, "add", kind=kind) for kind, name in KINDS.items()]), talk.back()))


def add(talk: Talk) -> Screen:
    """Add a device; where nodes serve several protocols, ask which first."""
    kind, protocol = talk.args["kind"], talk.args.get("protocol", "")
    served = mine.protocols(talk.tx)
    if not served:
        return Screen(talk.words.say("No server is ready yet. Ask an admin."), (talk.back(),))
    if len(served) > 1 and not protocol:
        choices = [Choice(handout.app_name(each), "add", {"kind": kind, "protocol": each}) for each in served]
        return Screen(talk.words.say("<b>New device</b>\nFor which app?"), (*grid(choices), talk.back("kinds")))
    device = requests.device_name(talk.tx, talk.person, kind)
    wish = {"device": device, "protocol": protocol or served[0]}
    return _wanted(talk, requests.want(talk.app, talk.person, requests.DEVICE, wish), device)


def again(talk: Talk) -> Screen:
    """Send the config of a device once more."""
    found = mine.device(talk.tx, talk.now, talk.person, talk.args["id"])
    if found is None:
        return gone(talk)
    if found.reason is not None:
        return Screen(talk.words.say("{device} is suspended. Ask an admin.", device=found.device), (talk.back(),))
    try:
        requests.again(talk.app, talk.person, found.id)
    except TooOften:
        raise
    except Conflict:
        text = talk.words.say("The key of {device} is not kept here. New keys make a new config.", device=found.device)
        return Screen(text, rows([talk.choice("🔑 New keys", "renew", id=found.id)], talk.back()))
    return _underway(talk, found.device)


def _wanted(talk: Talk, asked: requests.Asked, device: str) -> Screen:
    if asked.waits:
        text = talk.words.say("Your request for {device} was sent to an admin. You get the config here.", device=device)
        return Screen(text, (talk.back(),))
    talk.settle(asked.node_ids)
    return _underway(talk, device)


def _underway(talk: Talk, device: str) -> Screen:
    text = talk.words.say(
        "The config of <b>{device}</b> comes here as soon as the server has confirmed it, usually within seconds.",
        device=device,
    )
    return Screen(text, rows([talk.choice("🆘 How to use it", "help")], talk.back()))


def gone(talk: Talk) -> Screen:
    """Say that a device is not there any more."""
    return Screen(talk.words.say("That device is not there any more."), (talk.back(),))


def regen(talk: Talk) -> Screen:
    """Ask which device gets new keys."""
    there = mine.devices(talk.tx, talk.now, talk.person)
    if not there:
        return kinds(talk)
    text = talk.words.say("<b>New keys</b>\nFor which device? Use this when a config was seen by somebody else.")
    return Screen(text, (*_devices(talk, there, "renew", "regen"), talk.back()))


def renew(talk: Talk) -> Screen:
    """Ask whether to cut the old keys now."""
    found = mine.device(talk.tx, talk.now, talk.person, talk.args["id"])
    if found is None:
        return gone(talk)
    text = talk.words.say("<b>{device}</b>\nIts present config stops working at once. Go on?", device=found.device)
    return Screen(text, rows([talk.choice("✅ New keys now", "renewed", id=found.id)], talk.back("regen")))


def renewed(talk: Talk) -> Screen:
    """Give a device new keys; the old ones are cut."""
    found = mine.device(talk.tx, talk.now, talk.person, talk.args["id"])
    if found is None:
        return gone(talk)
    return _wanted(talk, requests.want(talk.app, talk.person, requests.REGEN, {"device": found.device}), found.device)


def server(talk: Talk) -> Screen:
    """Ask which device moves; a single one needs no question."""
    there = mine.devices(talk.tx, talk.now, talk.person)
    if len(there) == 1:
        return servers(talk, there[0])
    if not there:
        return kinds(talk)
    text = talk.words.say("<b>Server</b>\nWhich device is to use another server?")
    return Screen(text, (*_devices(talk, there, "servers", "server"), talk.back()))


def servers(talk: Talk, device: PeerView | None = None) -> Screen:
    """Ask where to."""
    found = device or mine.device(talk.tx, talk.now, talk.person, talk.args.get("id", ""))
    if found is None:
        return gone(talk)
    plain = Words(talk.locale)
    choices = [
        Choice(_title(plain, each, found), "move", {"id": found.id, "node": each.name})
        for each in mine.servers(talk.tx, talk.now, talk.person)
    ]
    text = talk.words.say("<b>Server</b>\n{device} uses {node} now. Where to?", device=found.device, node=found.node)
    return Screen(text, (*talk.page(choices, "servers", id=found.id), talk.back()))


def _title(words: Words, each: mine.Server, device: PeerView) -> str:
    name = f"{each.region} ({each.name})" if each.region else each.name
    mark_ = "📍 " if each.name == device.node else "" if each.up else "⚠️ "
    return mark_ + name + ("" if each.up else " · " + words.say("troubled"))


def move(talk: Talk) -> Screen:
    """Ask whether to move; the present config lives on for a while."""
    found = mine.device(talk.tx, talk.now, talk.person, talk.args["id"])
    if found is None:
        return gone(talk)
    if found.node == talk.args["node"]:
        return replace(servers(talk, found), toast=talk.words.say("It is there already."))
    text = talk.words.say(
        "Move <b>{device}</b> to {node}? You get a new config; the present one works until you use the new one, or for "
        "{hours} hours more.",
        device=found.device,
        node=talk.args["node"],
        hours=talk.app.settings.migration_grace_hours,
    )
    yes = talk.choice("✅ Move", "moved", id=found.id, node=talk.args["node"])
    return Screen(text, rows([yes], talk.back("servers", id=found.id)))


def moved(talk: Talk) -> Screen:
    """Move a device: the new peer works before the old one ends."""
    found = mine.device(talk.tx, talk.now, talk.person, talk.args["id"])
    node = talk.args["node"]
    if found is None or all(each.name != node for each in mine.servers(talk.tx, talk.now, talk.person)):
        return gone(talk)
    wish = {"device": found.device, "node": node}
    return _wanted(talk, requests.want(talk.app, talk.person, requests.MOVE, wish), found.device)
