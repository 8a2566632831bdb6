"""The first screen, which follows what a person may do, and how access is told."""

from __future__ import annotations

from bot.screen import Screen, grid, lines
from bot.talk import Talk
from vpnctl.reports import mine
from vpnctl.rules.access import Reason
from vpnctl.rules.translation import mark
from vpnctl.texts.wording import Choice

WHY = {
    Reason.NO_ACCESS: mark("You have no subscription yet."),
    Reason.ENDED: mark("Your subscription has ended."),
    Reason.CANCELLED: mark("Your subscription was cancelled."),
    Reason.QUOTA: mark("This month's traffic is used up; it begins anew on the 1st."),
}
"""Why somebody who is let in has no access, as they read it."""
NO_ACCESS = mark("You have no access now.")


def show(talk: Talk) -> Screen:
    """Show the menu."""
    if talk.user is None:
        return Screen(talk.words.say("<b>Administration</b>"), grid(admin_choices(talk)))
    seen = mine.overview(talk.tx, talk.now, talk.user)
    text = lines(talk.words.say("<b>Your VPN</b>"), access(talk, seen), devices(talk, seen))
    choices = connected(talk) if seen.reason is None else []
    choices += sale(talk, bare=seen.reason is not None)
    choices += [talk.choice("🆘 Help", "help"), talk.choice("🌐 Language", "language")]
    return Screen(text, grid(choices + (admin_choices(talk) if talk.admin else [])))


def access(talk: Talk, seen: mine.Overview) -> str:
    """Return a person's access in a line."""
    if seen.unlimited and seen.reason is None:
        return talk.words.say("Access: unlimited")
    if seen.reason is not None:
        return talk.words.say(WHY.get(seen.reason, NO_ACCESS))
    if seen.until is None:
        return ""
    values = {"plan": seen.plan, "left": talk.words.left(seen.until, talk.now)}
    values["moment"] = talk.words.moment(seen.until, talk.app.settings.zone)
    if seen.trial:
        return talk.words.say("Trial until {moment} ({left} left)", **values)
    return talk.words.say("Access: {plan} until {moment} ({left} left)", **values)


def devices(talk: Talk, seen: mine.Overview) -> str:
    """Return how many devices there are, in a line."""
    count, online = len(seen.devices), sum(bool(each.online) for each in seen.devices)
    if seen.limit is not None:
        values = {"count": count, "limit": seen.limit, "online": online}
        return talk.words.say("Devices: {count} of {limit}, {online} online", **values)
    return talk.words.say("Devices: {count}, {online} online", count=count, online=online)


def connected(talk: Talk) -> list[Choice]:
    """Return what somebody with access can do."""
    return [
        talk.choice("📱 Get config", "configs"),
        talk.choice("🔑 New keys", "regen"),
        talk.choice("🌍 Server", "server"),
        talk.choice("ℹ️ Status", "status"),
        talk.choice("📊 Traffic", "stats"),
    ]


def sale(talk: Talk, *, bare: bool) -> list[Choice]:
    """Return the way to access; who has none sees only that, and the trial where there is one."""
    trial = mine.may_try(talk.tx, talk.person)
    draft = mine.draft(talk.tx, talk.person)
    found = [talk.choice("▶️ Go on: {plan}", "plan", with_={"plan": draft}, name=draft)] if draft else []
    found += [talk.choice("💳 Plans", "plans")] if mine.on_sale(talk.tx) else []
    found += [talk.choice("🎁 Free trial", "trial")] if trial else []
    return found + ([talk.choice("ℹ️ Status", "status")] if bare else [])


def admin_choices(talk: Talk) -> list[Choice]:
    """Return what an admin sees in addition."""
    return [
        talk.choice("👥 People", "users"),
        talk.choice("🖥 Servers", "nodes"),
        talk.choice("📌 To do", "pending"),
    ]
