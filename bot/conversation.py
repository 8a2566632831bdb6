"""One update, from who may to what is shown. Runs inside the transaction that also notes that it was handled."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from bot import admission
from bot.context import Context, rows
from bot.handlers import home
from bot.incoming import Attached, Incoming
from bot.money import received
from bot.routes import BUTTONS, COMMANDS, RECEIPT, REFERENCE, For, Route
from bot.screen import LONGEST_TOAST, Screen, fitted, lines, plain
from vpnctl.actions.people import applicants, users
from vpnctl.actions.talk import buttons, prompts, updates
from vpnctl.actions.talk.buttons import Press
from vpnctl.app import App
from vpnctl.errors import LimitReached, NotFound, TooOften, VpnctlError, WaitsAlready
from vpnctl.rules.grammar import clean, display_name
from vpnctl.rules.translation import mark
from vpnctl.store import lockdown
from vpnctl.store.engine import Tx
from vpnctl.store.lockdown import Lock
from vpnctl.store.talk_rows import Received
from vpnctl.texts.words import LOCALES, Words

FAILED = mark("That did not work; nothing was changed. Try again, or ask an admin.")
SILENCE = Screen()
"""For who says too much: not even the press is answered."""
MENU_LIFE = timedelta(minutes=15)
"""How long the buttons of a menu work."""


@dataclass(frozen=True)
class Handled:
    """What is to be sent (None: nothing), and the nodes to settle."""

    reply: dict[str, Any] | None
    nodes: frozenset[str] = frozenset()


def handle(app: App, tx: Tx, row: Received, said: Incoming) -> Handled:
    """Handle one update. `app` writes into the transaction `tx`, which is committed afterwards."""
    ctx = _ctx(app, tx, said)
    if said.moved is not None:  # money that came is booked, however much was said and whatever is locked
        ctx.nodes.update(received(ctx.app, said.moved, said.sender))
        return Handled(None, frozenset(ctx.nodes))
    screen = _quiet(ctx, row, said)
    if screen is None:
        screen, ctx = _shown(ctx, said)
    if screen is SILENCE or not (screen.text or screen.toast or said.callback):
        return Handled(None)
    return Handled(_reply(ctx, said, screen), frozenset(ctx.nodes))


def _ctx(app: App, tx: Tx, said: Incoming) -> Context:
    user = users.by_telegram(tx, said.sender)
    if user is not None and user.bot_blocked_at is not None:
        users.reachable(tx, said.sender, None)
    language = said.language if said.language in LOCALES else "en"
    acting = replace(app, actor=f"bot:{said.sender}", run_id=str(uuid.uuid4()))  # so that one update is undone alone
    admin = said.sender in app.settings.admin_ids
    if admin and user is None:
        applicants.known(tx, said.sender, language, app.clock())
    return Context(acting, tx, said.sender, display_name(said.name), language, user, admin, said.text)


def _quiet(ctx: Context, row: Received, said: Incoming) -> Screen | None:
    """Return what is shown to who says too much, or to all while the bot is locked."""
    pace = updates.pace(ctx.tx, row)
    known = ctx.admin or (ctx.user is not None and ctx.user.approved_at is not None)
    if pace.lately > updates.BURST or (not known and pace.today > updates.STRANGER_LIMIT):
        first = pace.lately == updates.BURST + 1
        slow = ctx.words.say("Slow down, please.")
        return (Screen(toast=slow) if said.callback else Screen(slow)) if first and known else SILENCE
    held = lockdown.current(ctx.tx, ctx.now)
    return _closed(ctx, held) if held is not None else None


def _closed(ctx: Context, held: Lock) -> Screen:
    closed = ctx.words.say("The bot is closed for now. Devices that are connected stay connected.")
    end = ctx.words.moment(held.until, ctx.app.settings.zone) if held.until else ""
    until = ctx.words.say("It opens again at {moment}.", moment=end) if end else ""
    text = lines(closed, ctx.words.value(held.reason), until)
    return Screen(text, ((ctx.choice("🔄 Try again", "home"),),), toast=text, alert=True)


def _shown(ctx: Context, said: Incoming) -> tuple[Screen, Context]:
    route: Route | None
    if said.button or said.command or said.attached is not None:
        prompts.drop(ctx.tx, ctx.sender)
    if said.button:
        press, button = buttons.press(ctx.tx, said.button, ctx.sender, ctx.now)
        if button is None:
            return _stale(ctx, press), ctx
        ctx = replace(ctx, args=button.args, text="")
        if button.action == "captcha":
            return _guarded(ctx, Route(admission.picture, For.ANYBODY)), ctx
        route = BUTTONS.get(button.action)
    else:
        shut = admission.closed(ctx) is not None
        if said.command == "start" and (shut or ctx.text):
            return _guarded(ctx, Route(admission.knock, For.ANYBODY)), ctx
        route = COMMANDS.get(said.command)
        if said.attached is not None:
            route, ctx = RECEIPT, replace(ctx, args=_file(said.attached))
        elif said.text and not said.command:
            route, ctx = _answer(ctx)
    return _allowed(ctx, route), ctx


def _answer(ctx: Context) -> tuple[Route, Context]:
    """A text answers what the person was asked to write; else it may be the number of a receipt."""
    asked = prompts.take(ctx.tx, ctx.sender, ctx.now)
    route = BUTTONS.get(asked.action) if asked else None
    return (route, replace(ctx, args=asked.args)) if asked and route else (REFERENCE, ctx)


def _file(attached: Attached) -> dict[str, Any]:
    return {"kind": attached.kind, "file_id": attached.file_id, "file_key": attached.key}


def _stale(ctx: Context, press: Press) -> Screen:
    """A button that acts no more. One that is only too old brings the menu back; a double tap changes nothing."""
    if press is Press.EXPIRED:
        renewed = ctx.words.say("That menu was old; here it is anew.")
        return admission.closed(ctx) or replace(home.show(ctx), toast=renewed)
    return Screen(toast=ctx.words.say("That was done already.") if press is Press.USED else "")


def _allowed(ctx: Context, route: Route | None) -> Screen:
    """Run a handler for who may use it; others see why not, or their menu."""
    shut = admission.closed(ctx)
    if shut is not None:
        return shut
    if route is None or (route.whom is For.ADMIN and not ctx.admin):
        return home.show(ctx)
    if route.whom in (For.USER, For.CONNECTED) and ctx.user is None:
        return home.show(ctx)
    if route.whom is For.CONNECTED and not admission.connected(ctx):
        return home.show(ctx)
    return _guarded(ctx, route)


def _guarded(ctx: Context, route: Route) -> Screen:
    """Run a handler; when it fails, what it did is undone, and the person hears of it."""
    try:
        with ctx.app.store.write():
            return route.handler(ctx)
    except VpnctlError as error:
        ctx.nodes.clear()
        return _trouble(ctx, error)


def _trouble(ctx: Context, error: VpnctlError) -> Screen:
    say = ctx.words.say
    if isinstance(error, LimitReached):
        text = say("You have as many devices as your plan allows. Ask an admin, or use one of them.")
    elif isinstance(error, WaitsAlready):
        text = say("What you asked for before still waits for an admin.")
    elif isinstance(error, TooOften) and ctx.admin:
        text = say("The brake: too much in an hour. The command line goes on.")
    elif isinstance(error, TooOften):
        text = say("Too often. Try again in an hour.")
    elif ctx.admin:
        text = say("That did not work: {what}", what=clean(error.what, 300))
    elif isinstance(error, NotFound):
        text = say("That is not there any more.")
    else:
        text = say(FAILED)
    return Screen(text, rows(() if ctx.admin else ctx.contact(), ctx.back()))


def sorry(said: Incoming) -> dict[str, Any]:
    """Return a reply for when even saying what went wrong went wrong."""
    return _to(said) | {"text": Words(said.language).say(FAILED), "keyboard": []}


def _reply(ctx: Context, said: Incoming, screen: Screen) -> dict[str, Any]:
    keyboard = buttons.lay(ctx.tx, ctx.sender, screen.rows, ctx.now + MENU_LIFE) if screen.text else []
    found = _to(said) | {"text": fitted(screen.text), "keyboard": keyboard}
    if screen.toast:
        found |= {"toast": plain(screen.toast)[:LONGEST_TOAST], "alert": screen.alert}
    return found


def _to(said: Incoming) -> dict[str, Any]:
    return {"chat": said.sender, "message": said.message, "callback": said.callback}
