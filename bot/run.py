"""Long polling, until told to stop. Updates are stored before they are confirmed; work is done by threads."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

from bot import intake
from bot.client import Client, Got
from bot.dispatcher import Dispatcher
from bot.incoming import update_id
from bot.routes import LISTED, LISTED_FOR_ADMINS
from vpnctl.actions.exclusive import exclusive
from vpnctl.actions.fleet.side_by_side import load_everything
from vpnctl.actions.people import invites
from vpnctl.app import App
from vpnctl.errors import Busy, Conflict, InvalidInput, Unreachable, VpnctlError, bug
from vpnctl.remote.telegram import Fate
from vpnctl.rules.grammar import quoted
from vpnctl.settings import Settings
from vpnctl.store.listening import NewsListener
from vpnctl.texts.words import LOCALES, Words
from vpnctl.worker.child import ChildWorker
from vpnctl.worker.worker import PICTURES, Worker

WORKERS = 4
POLL_SECONDS, WATCH, HEAR = 25, 5.0, 1.0
WATCH_WEBHOOK = 60.0
"""Seconds between looks whether Telegram still sends updates to us, and whether they arrive."""
UNAUTHORIZED, NOT_FOUND, CONFLICT = 401, 404, 409
RIVAL_TRIES = 8
"""Polls that another poller may take from us before we give up: after a kill the old poll lives on for a while."""
RIVAL_PAUSE, LONGEST_PAUSE, QUICK = 3.0, 30.0, 0.5
Log = Callable[[str], None]


def run(
    app: App, log: Log, *, drop_webhook: bool = False, stop: threading.Event | None = None, child: Sequence[str] = ()
) -> int:
    """Serve the bot until SIGTERM or SIGINT. Raises InvalidInput without a token, Busy beside a second poller.

    `child` is the command that runs `child.serve`; without it, threads of this process settle and send.
    """
    if not app.settings.bot_token.reveal():
        raise InvalidInput("there is no bot token", "set bot_token in the config file, or VPNCTL_BOT_TOKEN")
    log = _quietly(log)
    with exclusive(app, "bot", Busy("the bot is running already", "systemctl status vpnctl-bot")):
        client = Client(app.settings)
        name = _introduce(app, client, log, drop_webhook=drop_webhook)
        worker = ChildWorker(child, log) if child else Worker(app, log)
        return Service(app, client, name, log, stop or threading.Event(), worker).run()


def _quietly(log: Log) -> Log:
    """A log that cannot be written, as on a full disk, stops nothing."""

    def quiet(text: str) -> None:
        with suppress(OSError, ValueError):
            log(text)

    return quiet


class Service:
    """The running bot: one poller, workers, and what comes after."""

    def __init__(
        self, app: App, client: Client, name: str, log: Log, stop: threading.Event, worker: Worker | ChildWorker
    ) -> None:
        self._client, self._name, self._log, self._stop, self._worker = client, name, log, stop, worker
        self.dispatcher = Dispatcher(app, client, name, worker.ask, log)
        self._hooked, self._base, self._settings = _hooked(app), app.store, app.settings
        self._fatal: VpnctlError | None = None

    def run(self) -> int:
        """Work until told to stop; then finish what was begun."""
        for number in (signal.SIGTERM, signal.SIGINT):
            if threading.current_thread() is threading.main_thread():
                signal.signal(number, lambda *_: self._stop.set())
        workers = [threading.Thread(target=self.dispatcher.work, name=f"updates{number}") for number in range(WORKERS)]
        self._worker.start()
        load_everything(*PICTURES, nodes=False)
        try:
            for thread in workers:
                thread.start()
            # A poll cannot be interrupted, and what it brings is confirmed by the next one only: it may be left behind.
            threading.Thread(target=self._fetch, name="fetch", daemon=True).start()
            self._log(f"@{self._name} is listening")
            while not self._stop.wait(WATCH):
                if not all(part.is_alive() for part in (*workers, self._worker)):
                    self._fatal = VpnctlError("a part of the bot died", "systemd starts it again; please report this")
                    self._stop.set()
            self._log("stopping: what was begun is finished, the rest waits in the inbox")
        finally:
            self.dispatcher.stop()
            for thread in workers:
                if thread.ident is not None:
                    thread.join()
            self._worker.close()
        if self._fatal is not None:
            raise self._fatal
        return 0

    def _fetch(self) -> None:
        try:
            self._poll_on() if not self._hooked else self._listen_on()
        except VpnctlError as error:
            self._fatal = error
        except Exception as error:  # noqa: BLE001 - a daemon thread dies unseen
            self._fatal = VpnctlError(bug(error), "please report this line")
        self._stop.set()

    def _listen_on(self) -> None:
        """The web process stores updates: hear of it, on whichever machine that is."""
        listener, looked = NewsListener(self._base), time.monotonic()
        while not self._stop.is_set():
            if listener.wait(HEAR):
                self.dispatcher.wake()
            if time.monotonic() - looked >= WATCH_WEBHOOK:
                looked = time.monotonic()
                for trouble in _keep_webhook(self._client, self._settings):
                    self._log(trouble)
        listener.close()

    def _poll_on(self) -> None:
        """Fetch, store, and only then confirm. Once confirmed, no offset is named: update ids may begin anew."""
        offset, rivals, pause = 0, 0, 1.0
        while not self._stop.is_set():
            began = time.monotonic()
            got = self._client.updates(offset, 1 if offset else POLL_SECONDS)
            if got.outcome.fate is Fate.SENT:
                if self._stop.is_set():
                    return
                before, offset, rivals, pause = offset, self._store(got), 0, 1.0
                if not offset and time.monotonic() - began < QUICK and not before:
                    self._stop.wait(1)  # nothing came, and nobody waited for it: do not spin
                continue
            rivals = rivals + 1 if got.status == CONFLICT else 0
            _refuse(got, rivals)
            self._log(f"no updates: {got.outcome.why}")
            self._stop.wait(got.outcome.seconds or (RIVAL_PAUSE if rivals else pause))
            pause = min(pause * 2, LONGEST_PAUSE)

    def _store(self, got: Got) -> int:
        found = got.result if isinstance(got.result, list) else []
        numbers = [number for each in found if (number := update_id(each)) is not None]
        while not self._stop.is_set():
            try:
                self.dispatcher.receive(found)
                return max(numbers) + 1 if numbers else 0
            except VpnctlError as error:
                self._log(f"updates wait at Telegram: {error.what}")
                self._stop.wait(1)
        return 0


def _refuse(got: Got, rivals: int) -> None:
    if got.status in (UNAUTHORIZED, NOT_FOUND):
        raise InvalidInput("Telegram does not know the bot token", "make a new one with @BotFather, set bot_token")
    if "webhook" in got.outcome.why.lower() and got.status == CONFLICT:
        raise Conflict("a webhook takes the updates", "vpnctl bot run --drop-webhook")
    if rivals >= RIVAL_TRIES:
        raise Busy("another program fetches updates with this token", "stop it; if you know of none, renew the token")


def _introduce(app: App, client: Client, log: Log, *, drop_webhook: bool) -> str:
    """Ask Telegram who we are, note our name, register commands. Raises for a token that Telegram does not know."""
    got = client.me()
    if got.outcome.fate is not Fate.SENT:
        _refuse(got, 0)
        raise Unreachable(f"Telegram does not answer: {got.outcome.why}", "check the network and telegram_api_url")
    name = got.result.get("username") if isinstance(got.result, dict) else None
    if not isinstance(name, str) or not name.isidentifier():
        raise Unreachable("Telegram's answer makes no sense", "check telegram_api_url")
    if _hooked(app):
        _hook(app, client)
        return _known(app, client, name, log)
    hook = client.webhook()
    if isinstance(hook.result, dict) and hook.result.get("url"):
        if not drop_webhook:
            raise Conflict("a webhook takes the updates", "vpnctl bot run --drop-webhook")
        client.drop_webhook()
    return _known(app, client, name, log)


def _hooked(app: App) -> bool:
    return app.settings.telegram_updates == "webhook"


def _hook(app: App, client: Client) -> None:
    """Have Telegram push updates to the web process."""
    if not app.settings.web_url:
        raise InvalidInput("Telegram cannot push updates: there is no address", "set web_url (docs/web.md)")
    got = client.set_webhook(_webhook_url(app.settings), intake.secret(app.settings))
    if got.outcome.fate is not Fate.SENT:
        raise Unreachable(f"Telegram does not take the webhook: {got.outcome.why}", "check web_url: it must be https")


def _webhook_url(settings: Settings) -> str:
    return f"{settings.web_url}{intake.PATH}"


def _keep_webhook(client: Client, settings: Settings) -> Iterator[str]:
    """Set the webhook again where somebody took it away; yield what is wrong with it."""
    told = client.webhook().result
    if not isinstance(told, dict):
        return
    if told.get("url") != _webhook_url(settings):
        yield "the webhook was changed by another program; it is set again"
        client.set_webhook(_webhook_url(settings), intake.secret(settings))
    elif told.get("pending_update_count") and told.get("last_error_message"):
        why = quoted(str(told["last_error_message"]), 100)
        yield f"Telegram cannot deliver updates: {why}; look at `vpnctl web run` and at what stands before it"


def _known(app: App, client: Client, name: str, log: Log) -> str:
    """Note our name, and register commands."""
    invites.remember_bot(app, name)
    for problem in _offer(app, client):
        log(f"commands not registered: {problem}")
    return name


def _offer(app: App, client: Client) -> Iterator[str]:
    """Register the commands in every language, English for all others; more of them in the chats of admins."""
    for language in ("", *LOCALES[1:]):
        words = Words(language or "en")
        listed = {name: words.say(text) for name, text in LISTED.items()}
        everything = listed | {name: words.say(text) for name, text in LISTED_FOR_ADMINS.items()}
        outcomes = [client.offer(listed, language)]
        outcomes += [client.offer(everything, language, admin) for admin in app.settings.admin_ids if admin > 0]
        yield from (got.outcome.why for got in outcomes if got.outcome.fate is not Fate.SENT)
