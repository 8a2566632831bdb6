"""What admins see of the service: servers as `health` judges them, what waits, and requests to decide."""

from __future__ import annotations

from bot.screen import Screen, label, lines
from bot.talk import Talk, rows
from vpnctl import reports
from vpnctl.actions.talk import requests
from vpnctl.reports import asking, people, status
from vpnctl.rules.grammar import clean
from vpnctl.rules.translation import mark
from vpnctl.texts import wording
from vpnctl.texts.wording import Choice
from vpnctl.texts.words import Words

SHOWN, MANY = 20, 200
VERDICTS = {
    "up": mark("🟢 up"),
    "degraded": mark("🟠 degraded"),
    "blocked": mark("🔴 blocked"),
    "down": mark("🔴 down"),
    "flapping": mark("🟠 flapping"),
    "unknown": mark("⚪️ not checked yet"),
}


def nodes(talk: Talk) -> Screen:
    """Show the servers: verdict, state, load."""
    found = reports.nodes(talk.tx, talk.now, planned=False)
    parts = [_node(talk, each) for each in found[:SHOWN]]
    text = lines(talk.words.say("<b>Servers</b>"), *(parts or [talk.words.say("None yet.")]))
    return Screen(text, rows([talk.choice("🔄 Refresh", "nodes")], talk.back()))


def _node(talk: Talk, each: reports.NodeView) -> str:
    say = talk.words.say
    room = f"{each.peers}/{each.capacity}" if each.capacity is not None else str(each.peers)
    values = {"name": each.name, "verdict": say(VERDICTS.get(each.health, each.health)), "room": room}
    line = say("<b>{name}</b>: {verdict}, devices: {room}, online: {online}", online=each.online, **values)
    trouble = each.last_error or ("" if each.state in ("settled", "draining") else each.state)
    return lines(line, say("   {trouble}", trouble=clean(trouble, 150)) if trouble else "")


def pending(talk: Talk) -> Screen:
    """Show who waits for a word, what was asked for, and what needs the operator."""
    waiting = people.waiting(talk.tx, MANY)
    asked = asking.requests(talk.tx, limit=MANY)
    needs = status.page(talk.tx, talk.now).attention[:SHOWN]
    labels = Words(talk.locale)
    choices = [Choice(label(f"⏳ {each.name} · {each.display_name}"), "user", {"id": each.id}) for each in waiting]
    told = [(f"❓ {each.user}: {wording.ask(each.told, labels)}", each.id) for each in asked]
    choices += [Choice(label(text), "request", {"id": request_id}) for text, request_id in told]
    what = [talk.words.say("• {subject}: {what}", subject=each.subject, what=clean(each.what, 150)) for each in needs]
    text = lines(talk.words.say("<b>To do</b>"), *(what or ([] if choices else [talk.words.say("Nothing.")])))
    return Screen(text, rows(*talk.page(choices, "pending"), [talk.choice("🔄 Refresh", "pending")], talk.back()))


def request(talk: Talk) -> Screen:
    """Show one request."""
    found = asking.request(talk.tx, talk.args["id"])
    if found is None:
        return Screen(talk.words.say("That is settled already."), (talk.back("pending"),))
    what = wording.ask(found.told, talk.words)
    text = talk.words.say("{user} asks for {what}.", user=found.user, what=what)
    yes, no = talk.choice("✅ Grant", "grant", id=found.id), talk.choice("⛔ Refuse", "refuse", id=found.id)
    return Screen(text, rows([yes, no], talk.back("pending")))


def grant(talk: Talk) -> Screen:
    """Grant what was asked for."""
    return _decide(talk, granted=True)


def refuse(talk: Talk) -> Screen:
    """Refuse what was asked for."""
    return _decide(talk, granted=False)


def _decide(talk: Talk, *, granted: bool) -> Screen:
    told = asking.told(talk.tx, talk.args["id"])
    talk.act("request.grant" if granted else "request.refuse", takes=not granted, **told)
    row, user, node_ids = requests.decide(talk.app, talk.args["id"], granted=granted)
    talk.settle(node_ids)
    what = wording.ask({"kind": row.kind, **row.details}, talk.words)
    form = mark("✅ {user} gets {what}.") if granted else mark("⛔ {user} does not get {what}.")
    return Screen(talk.words.say(form, user=user.name, what=what))
