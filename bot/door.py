"""The door: strangers pass a captcha and wait for an admin, or bring an invitation; everybody else is denied."""

from __future__ import annotations

from dataclasses import replace

from bot.handlers import home
from bot.screen import Screen, grid, lines
from bot.talk import Talk
from vpnctl.actions.people import applicants, invites, users
from vpnctl.errors import Conflict, NotFound
from vpnctl.rules.access import Reason, why_not_person
from vpnctl.rules.translation import mark
from vpnctl.store.people import person
from vpnctl.store.talk_rows import Applicant

DENIED = mark("Access denied.")


def closed(talk: Talk) -> Screen | None:
    """Return what somebody hears who is not let in, or None for who is. Admins are: the settings say so."""
    if talk.admin:
        return None
    if talk.user is None:
        how = talk.words.say("Send /start to ask for access.") if talk.app.settings.strangers == "apply" else ""
        return Screen(lines(talk.words.say(DENIED), how), toast=talk.words.say(DENIED))
    reason = why_not_person(person(talk.tx, talk.user, talk.now), talk.now)
    if reason is Reason.NOT_APPROVED:
        return Screen(talk.words.say("Your request waits for an admin. You are told here."))
    if reason in (Reason.BLOCKED, Reason.REMOVED):
        return Screen(talk.words.say(DENIED), toast=talk.words.say(DENIED))
    return None


def connected(talk: Talk) -> bool:
    """Return whether somebody has access now."""
    return talk.user is not None and why_not_person(person(talk.tx, talk.user, talk.now), talk.now) is None


def knock(talk: Talk) -> Screen:
    """Answer /start of who is not let in."""
    if talk.text:
        return _invited(talk)
    if talk.user is not None or talk.app.settings.strangers == "refuse":
        return closed(talk) or home.show(talk)
    who = applicants.known(talk.tx, talk.sender, talk.language, talk.now)
    return _not_now(talk, who) or _challenge(talk, "")


def picture(talk: Talk) -> Screen:
    """Judge a picture that a stranger chose."""
    if talk.user is not None or talk.app.settings.strangers == "refuse":
        return closed(talk) or home.show(talk)
    who = applicants.known(talk.tx, talk.sender, talk.language, talk.now)
    paused = _not_now(talk, who)
    if paused is not None:
        return paused
    if talk.args["right"] is not True:
        until = applicants.wrong(talk.tx, who, talk.now)
        return _later(talk) if until else _challenge(talk, talk.words.say("That was another one."))
    applicants.apply(talk.app, talk.sender, talk.name, talk.locale)
    return Screen(talk.words.say("Thank you. An admin was asked to let you in; you are told here."))


def _invited(talk: Talk) -> Screen:
    who = applicants.known(talk.tx, talk.sender, talk.language, talk.now)
    paused = _not_now(talk, who)
    if paused is not None:
        return paused
    try:
        user = invites.redeem(talk.app, talk.text, talk.sender, talk.name, talk.locale)
    except NotFound:
        until = applicants.wrong(talk.tx, who, talk.now, code=True)
        return _later(talk) if until else Screen(talk.words.say("This invitation does not work (any more)."))
    except Conflict:
        return closed(talk) or home.show(talk)
    known = replace(talk, user=users.by_id(talk.tx, user.id), text="")
    return closed(known) or home.show(known)


def _challenge(talk: Talk, first: str) -> Screen:
    name, choices = applicants.challenge()
    text = talk.words.say("Press the picture that shows: <b>{thing}</b>", thing=talk.words.say(name))
    return Screen(lines(first, text), grid(choices, 3))


def _not_now(talk: Talk, who: Applicant) -> Screen | None:
    return _later(talk) if who.wait_until is not None else None


def _later(talk: Talk) -> Screen:
    return Screen(talk.words.say("Too many wrong answers. Try again in an hour."))
