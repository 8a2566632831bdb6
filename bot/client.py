"""pyTelegramBotAPI, and what its exceptions mean. The only importer of telebot; the token leaves in no text.

Its own polling is not used: it confirms updates before they are handled, and forgets them when it is killed. Its
calls, one connection per thread, are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from bot.incoming import LISTENED
from bot.screen import plain
from vpnctl.errors import StateTrouble, adding
from vpnctl.remote.telegram import Fate, Keyboard, Outcome, judge, keyboard_text
from vpnctl.rules.secret import Secret
from vpnctl.settings import Settings

CONNECT, READ = 10, 15
BATCH = 100
_HARMLESS = ("message is not modified", "query is too old", "query_id_invalid", "query id is invalid")
_NOT_EDITABLE = ("message can't be edited", "message to edit not found", "no text in the message", "message_id_invalid")
_UNPARSED = "can't parse entities"


@dataclass(frozen=True)
class Got:
    """An answer: what became of the call, Telegram's error code, and the result."""

    outcome: Outcome
    status: int
    result: Any = None


def _post(apihelper: Any, _method: str, url: str, params: Any, files: Any, timeout: Any, proxies: Any) -> Any:
    """Send parameters in the body: the library puts them into the address, which servers cut at some length."""
    session = apihelper._get_req_session()
    return session.post(url, data=params, files=files, timeout=timeout, proxies=proxies)


class Client:
    """The Bot API."""

    def __init__(self, settings: Settings) -> None:
        try:
            from telebot import apihelper, logger, types
        except ImportError:
            raise StateTrouble("the bot needs pyTelegramBotAPI", adding("pyTelegramBotAPI>=4.37")) from None
        logger.disabled = True  # it writes requests' texts, which hold the token
        vars(apihelper)["API_URL"] = settings.telegram_api_url + "/bot{0}/{1}"
        apihelper.CONNECT_TIMEOUT, apihelper.READ_TIMEOUT = CONNECT, READ
        vars(apihelper)["CUSTOM_REQUEST_SENDER"] = partial(_post, apihelper)
        self._api, self._types = apihelper, types
        self._token = settings.bot_token
        self._no_preview = types.LinkPreviewOptions(is_disabled=True)

    def _call(self, method: Callable[..., Any], *args: Any, **more: Any) -> Got:
        from requests.exceptions import RequestException

        try:
            return Got(Outcome(Fate.SENT), 200, method(self._token.reveal(), *args, **more))
        except self._api.ApiTelegramException as error:
            code = error.error_code if isinstance(error.error_code, int) else 0
            return Got(judge(error.error_code, error.result_json, self._token), code)
        except (self._api.ApiHTTPException, self._api.ApiInvalidJSONException) as error:
            return Got(Outcome(Fate.LATER, f"status {error.result.status_code} without an answer"), 0)
        except RequestException as error:
            return Got(Outcome(Fate.LATER, f"no answer: {type(error).__name__}"), 0)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            return Got(Outcome(Fate.LATER, f"an answer without sense: {type(error).__name__}"), 0)

    def me(self) -> Got:
        """Ask who we are; the result has `username`."""
        return self._call(self._api.get_me)

    def webhook(self) -> Got:
        """Ask where updates are pushed to; the result has `url`."""
        return self._call(self._api.get_webhook_info)

    def set_webhook(self, url: str, secret: Secret) -> Got:
        """Have updates pushed to an address, with a secret by which it knows who calls."""
        return self._call(
            self._api.set_webhook, url, allowed_updates=list(LISTENED), secret_token=secret.reveal(), max_connections=20
        )

    def drop_webhook(self) -> Got:
        """Have updates kept for us to fetch."""
        return self._call(self._api.delete_webhook)

    def updates(self, offset: int, seconds: int) -> Got:
        """Fetch updates from `offset` on, which confirms those before it; wait for `seconds` when there are none."""
        listened = list(LISTENED)
        return self._call(
            self._api.get_updates, offset=offset, limit=BATCH, allowed_updates=listened, long_polling_timeout=seconds
        )

    def offer(self, commands: Mapping[str, str], language: str, chat: int | None = None) -> Got:
        """Register the commands that Telegram offers: in private chats, or in one chat."""
        listed = [self._types.BotCommand(name, text) for name, text in commands.items()]
        kinds: Any = self._types
        scope = kinds.BotCommandScopeAllPrivateChats() if chat is None else kinds.BotCommandScopeChat(chat)
        return self._call(self._api.set_my_commands, listed, scope, language or None)

    def let_pay(self, query: str, why_not: str) -> Outcome:
        """Answer who asks before paying: an empty `why_not` lets them. Telegram waits for ten seconds."""
        return self._call(self._api.answer_pre_checkout_query, query, not why_not, why_not or None).outcome

    def deliver(self, reply: dict[str, Any]) -> Outcome:
        """Send a reply: answer the press first, then edit the menu, or send a new message."""
        if reply.get("callback"):
            self._answer(reply)
        if not reply["text"]:
            return Outcome(Fate.SENT)
        outcome = self._edit(reply) if reply.get("message") else None
        return outcome or self._send(reply)

    def _answer(self, reply: dict[str, Any]) -> None:
        """An answer that comes too late, or not at all, costs nothing but a spinning sign."""
        toast, alert = reply.get("toast") or None, bool(reply.get("alert"))
        self._call(self._api.answer_callback_query, reply["callback"], toast, alert)

    def _edit(self, reply: dict[str, Any]) -> Outcome | None:
        """Edit the message. None: it cannot be edited, a new one must do."""
        text, where = reply["text"], {"chat_id": reply["chat"], "message_id": reply["message"]}
        outcome = self._written(self._api.edit_message_text, reply["keyboard"], text, **where)
        why = outcome.why.lower()
        if outcome.fate is Fate.REFUSED and any(word in why for word in _HARMLESS):
            return Outcome(Fate.SENT)
        return None if outcome.fate is Fate.REFUSED and any(word in why for word in _NOT_EDITABLE) else outcome

    def _send(self, reply: dict[str, Any]) -> Outcome:
        return self._written(self._api.send_message, reply["keyboard"], reply["chat"], reply["text"])

    def _written(self, method: Callable[..., Any], keyboard: Keyboard, *args: Any, **more: Any) -> Outcome:
        """Write HTML; when Telegram cannot read it, the same as plain text."""
        more |= {"link_preview_options": self._no_preview}
        more |= {"reply_markup": keyboard_text(keyboard)} if keyboard else {}
        outcome = self._call(method, *args, parse_mode="HTML", **more).outcome
        if outcome.fate is Fate.REFUSED and _UNPARSED in outcome.why:
            bare = [plain(each) if isinstance(each, str) else each for each in args]
            outcome = self._call(method, *bare, **more).outcome
        return outcome
