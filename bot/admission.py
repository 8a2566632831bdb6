"""Admission: strangers pass a captcha and wait for an admin, or bring an invitation; everybody else is denied."""

from __future__ import annotations

from dataclasses import replace

from bot.context import Context, rows
from bot.handlers import home
from bot.screen import Screen, grid, lines
from vpnctl.actions.people import applicants, invites, users
from vpnctl.errors import Conflict, NotFound
from vpnctl.rules.access import Reason, why_not_person
from vpnctl.rules.translation import mark
from vpnctl.store.people import person
from vpnctl.store.talk_rows import Applicant

DENIED = mark("Access denied.")


def closed(ctx: Context) -> Screen | None:
    """Return what somebody hears who is not let in, or None for who is. Admins are: the settings say so."""
    if ctx.admin:
        return None
    if ctx.user is None:
        how = ctx.words.say("Send /start to ask for access.") if ctx.app.settings.strangers == "apply" else ""
        return Screen(lines(ctx.words.say(DENIED), how), toast=ctx.words.say(DENIED))
    reason = why_not_person(person(ctx.tx, ctx.user, ctx.now), ctx.now)
    if reason is Reason.NOT_APPROVED:
        return Screen(ctx.words.say("Your request waits for an admin. You are told here."))
    if reason in (Reason.BLOCKED, Reason.REMOVED):
        return Screen(ctx.words.say(DENIED), rows(ctx.contact()), toast=ctx.words.say(DENIED))
    return None


def connected(ctx: Context) -> bool:
    """Return whether somebody has access now."""
    return ctx.user is not None and why_not_person(person(ctx.tx, ctx.user, ctx.now), ctx.now) is None


def knock(ctx: Context) -> Screen:
    """Answer /start of who is not let in."""
    if ctx.text:
        return _invited(ctx)
    if ctx.user is not None or ctx.app.settings.strangers == "refuse":
        return closed(ctx) or home.show(ctx)
    who = applicants.known(ctx.tx, ctx.sender, ctx.language, ctx.now)
    return _not_now(ctx, who) or _challenge(ctx, "")


def picture(ctx: Context) -> Screen:
    """Judge a picture that a stranger chose."""
    if ctx.user is not None or ctx.app.settings.strangers == "refuse":
        return closed(ctx) or home.show(ctx)
    who = applicants.known(ctx.tx, ctx.sender, ctx.language, ctx.now)
    paused = _not_now(ctx, who)
    if paused is not None:
        return paused
    if ctx.args["right"] is not True:
        until = applicants.wrong(ctx.tx, who, ctx.now)
        return _later(ctx) if until else _challenge(ctx, ctx.words.say("That was another one."))
    applicants.apply(ctx.app, ctx.sender, ctx.name, ctx.locale)
    return Screen(ctx.words.say("Thank you. An admin was asked to let you in; you are told here."))


def _invited(ctx: Context) -> Screen:
    who = applicants.known(ctx.tx, ctx.sender, ctx.language, ctx.now)
    paused = _not_now(ctx, who)
    if paused is not None:
        return paused
    try:
        user = invites.redeem(ctx.app, ctx.text, ctx.sender, ctx.name, ctx.locale)
    except NotFound:
        until = applicants.wrong(ctx.tx, who, ctx.now, code=True)
        return _later(ctx) if until else Screen(ctx.words.say("This invitation does not work (any more)."))
    except Conflict:
        return closed(ctx) or home.show(ctx)
    known = replace(ctx, user=users.by_id(ctx.tx, user.id), text="")
    return closed(known) or home.show(known)


def _challenge(ctx: Context, first: str) -> Screen:
    name, choices = applicants.challenge()
    text = ctx.words.say("Press the picture that shows: <b>{thing}</b>", thing=ctx.words.say(name))
    return Screen(lines(first, text), grid(choices, 3))


def _not_now(ctx: Context, who: Applicant) -> Screen | None:
    return _later(ctx) if who.wait_until is not None else None


def _later(ctx: Context) -> Screen:
    return Screen(ctx.words.say("Too many wrong answers. Try again in an hour."))
