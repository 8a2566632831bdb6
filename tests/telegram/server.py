"""A Bot API on loopback: chats, long polling, buttons, files; refuses what Telegram refuses, and fails as it is told.

Behaviour after core.telegram.org/bots/api; every request is recorded and held against aiogram's models (`oracle`).
"""

from __future__ import annotations

import json
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from email import message_from_bytes
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from urllib.request import Request, urlopen

TOKEN = "7654321:" + "Canary_Token-0123456789abcdefgh"
NAME = "lab_vpn_bot"
PROVIDER = "1234567890:TEST:canary-provider-token"
TAGS = {"b", "i", "u", "s", "code", "pre", "a"}


class Refused(Exception):
    """What Telegram answers instead of a result."""

    def __init__(self, code: int, description: str, **parameters: Any) -> None:
        super().__init__(description)
        self.code = code
        self.body = {"ok": False, "error_code": code, "description": description}
        if parameters:
            self.body["parameters"] = parameters


@dataclass
class Call:
    """One request."""

    method: str
    params: dict[str, Any]
    files: dict[str, tuple[str, bytes]]
    at: float


@dataclass
class Failure:
    """What happens instead, to the next calls of a method (`*`: any but getUpdates)."""

    method: str
    status: int
    body: Any
    times: int = 1


@dataclass
class Message:
    """A message of the bot in a chat."""

    chat: int
    number: int
    text: str
    rows: list[list[dict[str, str]]]
    files: dict[str, tuple[str, bytes]] = field(default_factory=dict)

    def labels(self) -> list[str]:
        return [button["text"] for row in self.rows for button in row]


class BotApi:
    """The server. Use `person()` to act as somebody."""

    def __init__(self, token: str = TOKEN, port: int = 0, check: Any = None, first: int = 5000) -> None:
        """`first`: the number before that of the first update; a bot that knows higher ones hears of none."""
        self.token, self.check = token, check
        self.calls: list[Call] = []
        self.problems: list[str] = []
        self.failures: list[Failure] = []
        self.blocked: set[int] = set()
        self.webhook = self.secret = ""
        self.changed = threading.Condition()
        self.chats: dict[int, list[Message]] = defaultdict(list)
        self.queue: list[dict[str, Any]] = []
        self.presses: dict[str, float] = {}
        self.answers: dict[str, dict[str, Any]] = {}
        self.invoices: dict[str, dict[str, Any]] = {}
        """Links to invoices: payload, price and currency of each."""
        self.now = time.time
        self.transactions: list[dict[str, Any]] = []
        """Of Stars, the oldest first."""
        self.pictures: dict[str, bytes] = {}
        """Contents of files that people sent, by file id."""
        self.asked: dict[str, dict[str, Any]] = {}
        """Answers to who asked before paying."""
        self.commands: dict[tuple[str, str], list[dict[str, str]]] = {}
        self._number, self._update, self._poll = 100, first, 0
        self._http = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._http.daemon_threads = True
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def close(self) -> None:
        with self.changed:
            self._poll += 1
            self.changed.notify_all()
        self._http.shutdown()
        self._http.server_close()

    def person(self, number: int, name: str = "Ivan", language: str = "en", **more: Any) -> Person:
        return Person(
            self, number, {"id": number, "is_bot": False, "first_name": name, "language_code": language, **more}
        )

    def fail(self, method: str, status: int, body: Any = None, times: int = 1) -> None:
        """Answer the next calls so; status 0 closes the connection."""
        self.failures.append(Failure(method, status, body, times))

    def push(self, body: dict[str, Any]) -> int:
        """Let an update come; return its number."""
        with self.changed:
            self._update += 1
            self.queue.append({"update_id": self._update, **body})
            self.changed.notify_all()
            return self._update

    def methods(self, name: str) -> list[Call]:
        return [call for call in self.calls if call.method == name]

    # --- what Telegram does -------------------------------------------------------------------

    def serve(self, token: str, method: str, params: dict[str, Any], files: dict[str, tuple[str, bytes]]) -> Any:
        with self.changed:
            self.calls.append(Call(method, params, files, time.monotonic()))
        if token != self.token:
            raise Refused(401, "Unauthorized")
        if self.check:
            self.problems += self.check(method, params, files)
        work = getattr(self, f"do_{method}", None)
        if work is None:
            raise Refused(404, "Not Found: method not found")
        return work(params, files)

    def do_getMe(self, _params: Any, _files: Any) -> Any:
        return {"id": 7654321, "is_bot": True, "first_name": "Lab VPN", "username": NAME}

    def do_getWebhookInfo(self, _params: Any, _files: Any) -> Any:
        return {"url": self.webhook, "has_custom_certificate": False, "pending_update_count": len(self.queue)}

    def do_setWebhook(self, params: Any, _files: Any) -> Any:
        self.webhook, self.secret = params["url"], params.get("secret_token", "")
        return True

    def deliver(self, base: str) -> None:
        """Push what waits to the webhook, which is reached at another address here; what is refused waits on."""
        path = urlsplit(self.webhook).path
        headers = {"X-Telegram-Bot-Api-Secret-Token": self.secret, "Content-Type": "application/json"}
        with self.changed:
            waiting = list(self.queue)
        for update in waiting:
            request = Request(base + path, json.dumps(update).encode(), headers)
            with urlopen(request, timeout=30) as answer:
                assert answer.status == 200
            with self.changed:
                self.queue.remove(update)

    def do_deleteWebhook(self, _params: Any, _files: Any) -> Any:
        self.webhook = ""
        return True

    def do_setMyCommands(self, params: Any, _files: Any) -> Any:
        self.commands[params.get("language_code", ""), json.dumps(params.get("scope"))] = params["commands"]
        return True

    def do_getUpdates(self, params: Any, _files: Any) -> Any:
        if self.webhook:
            raise Refused(
                409, "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete"
            )
        end = time.monotonic() + float(params.get("timeout", 0))
        offset = int(params.get("offset", 0))
        with self.changed:
            self._poll += 1
            mine = self._poll
            self.changed.notify_all()
            if offset:
                self.queue = [each for each in self.queue if each["update_id"] >= offset]
            while not self.queue and time.monotonic() < end:
                self.changed.wait(max(0.0, end - time.monotonic()))
                if self._poll != mine:
                    raise Refused(
                        409,
                        "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running",
                    )
            return self.queue[: int(params.get("limit", 100))]

    def do_sendMessage(self, params: Any, _files: Any) -> Any:
        text = self._text(params)
        return self._deliver(params, text, {})

    def do_editMessageText(self, params: Any, _files: Any) -> Any:
        text, rows = self._text(params), self._rows(params)
        found = [each for each in self.chats[int(params["chat_id"])] if each.number == int(params["message_id"])]
        if not found:
            raise Refused(400, "Bad Request: message to edit not found")
        if found[0].files:
            raise Refused(400, "Bad Request: there is no text in the message to edit")
        if (found[0].text, found[0].rows) == (text, rows):
            raise Refused(400, "Bad Request: message is not modified: specified new message content is the same")
        with self.changed:
            found[0].text, found[0].rows = text, rows
            self.changed.notify_all()
        return self._shown(found[0])

    def do_sendDocument(self, params: Any, files: Any) -> Any:
        return self._file(params, files, "document")

    def do_sendPhoto(self, params: Any, files: Any) -> Any:
        return self._file(params, files, "photo")

    def do_answerCallbackQuery(self, params: Any, _files: Any) -> Any:
        began = self.presses.get(params["callback_query_id"])
        if began is None:
            raise Refused(400, "Bad Request: query is too old and response timeout expired or query ID is invalid")
        if len(params.get("text") or "") > 200:
            raise Refused(400, "Bad Request: MESSAGE_TOO_LONG")
        with self.changed:
            self.answers[params["callback_query_id"]] = params | {"after": time.monotonic() - began}
            self.changed.notify_all()
        return True

    def do_getFile(self, params: Any, _files: Any) -> Any:
        if params["file_id"] not in self.pictures:
            raise Refused(400, "Bad Request: invalid file_id")
        return {"file_id": params["file_id"], "file_unique_id": "u", "file_path": f"photos/{params['file_id']}.jpg"}

    # --- money --------------------------------------------------------------------------------

    def do_createInvoiceLink(self, params: Any, _files: Any) -> Any:
        prices = params["prices"]
        if not 1 <= len(params["payload"].encode()) <= 128 or not 1 <= len(params["title"]) <= 32:
            raise Refused(400, "Bad Request: INVOICE_PAYLOAD_INVALID")
        if params["currency"] == "XTR" and (len(prices) != 1 or params.get("provider_token")):
            raise Refused(400, "Bad Request: STARS_INVOICE_INVALID")
        if params["currency"] != "XTR" and params.get("provider_token") != PROVIDER:
            raise Refused(400, "Bad Request: PAYMENT_PROVIDER_INVALID")
        with self.changed:
            link = f"https://t.me/${len(self.invoices) + 1:06d}"
            self.invoices[link] = {"payload": params["payload"], "currency": params["currency"]}
            self.invoices[link]["amount"] = sum(each["amount"] for each in prices)
        return link

    def do_answerPreCheckoutQuery(self, params: Any, _files: Any) -> Any:
        with self.changed:
            self.asked[params["pre_checkout_query_id"]] = params
            self.changed.notify_all()
        return True

    def do_getStarTransactions(self, params: Any, _files: Any) -> Any:
        start, limit = int(params.get("offset", 0)), int(params.get("limit", 100))
        return {"transactions": self.transactions[start : start + limit]}

    def do_refundStarPayment(self, params: Any, _files: Any) -> Any:
        key = params["telegram_payment_charge_id"]
        mine = [each for each in self.transactions if each["id"] == key]
        if not mine:
            raise Refused(400, "Bad Request: CHARGE_NOT_FOUND")
        if any("receiver" in each for each in mine):
            raise Refused(400, "Bad Request: CHARGE_ALREADY_REFUNDED")
        with self.changed:
            now = {"id": key, "amount": mine[0]["amount"], "date": int(self.now())}
            self.transactions.append(now | {"receiver": mine[0]["source"]})
        return True

    def _file(self, params: Any, files: Any, kind: str) -> Any:
        if kind in params and params[kind].startswith("A"):  # one that Telegram has already
            files = {kind: (params[kind], b"")}
        elif kind not in files or not files[kind][1]:
            raise Refused(400, "Bad Request: there is no file in the request")
        if len(params.get("caption", "")) > 1024:
            raise Refused(400, "Bad Request: message caption is too long")
        return self._deliver(params, params.get("caption", ""), files)

    def _text(self, params: Any) -> str:
        text = params.get("text", "")
        if params.get("parse_mode") == "HTML":
            text = _parsed(text)
        if not text.strip():
            raise Refused(400, "Bad Request: message text is empty")
        if len(text) > 4096:
            raise Refused(400, "Bad Request: message is too long")
        return text

    def _rows(self, params: Any) -> list[list[dict[str, str]]]:
        rows = (params.get("reply_markup") or {}).get("inline_keyboard", [])
        for button in (button for row in rows for button in row):
            if not button.get("text") or not (
                button.get("url") or 1 <= len(button.get("callback_data", "").encode()) <= 64
            ):
                raise Refused(400, "Bad Request: BUTTON_DATA_INVALID")
        return rows

    def _deliver(self, params: Any, text: str, files: dict[str, tuple[str, bytes]]) -> Any:
        chat = int(params["chat_id"])
        if chat in self.blocked:
            raise Refused(403, "Forbidden: bot was blocked by the user")
        rows = self._rows(params)
        with self.changed:
            self._number += 1
            message = Message(chat, self._number, text, rows, files)
            self.chats[chat].append(message)
            self.changed.notify_all()
        return self._shown(message)

    def _shown(self, message: Message) -> dict[str, Any]:
        return {
            "message_id": message.number,
            "date": int(time.time()),
            "chat": {"id": message.chat, "type": "private"},
            "text": message.text,
        }

    # --- HTTP ---------------------------------------------------------------------------------

    def injected(self, method: str) -> Failure | None:
        with self.changed:
            for each in self.failures:
                if each.times and (each.method == method or (each.method == "*" and method != "getUpdates")):
                    each.times -= 1
                    return each
        return None

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # as any web server in front of the real one

            def do_GET(self) -> None:
                url = urlsplit(self.path)
                words = url.path.split("/")
                size = int(self.headers.get("Content-Length") or 0)
                try:
                    body = self.rfile.read(size)
                except OSError:
                    body = b""
                if len(body) < size:  # who sent it was killed meanwhile
                    self.close_connection = True
                    return None
                params, files = _request(url.query, self.headers.get("Content-Type", ""), body)
                if words[1:2] == ["file"]:
                    return self.answer(200, api.pictures.get(words[-1].removesuffix(".jpg"), b""))
                token, method = (words[1].removeprefix("bot"), words[2]) if len(words) == 3 else ("", "")
                injected = api.injected(method)
                if injected is not None:
                    return self.answer(injected.status, injected.body)
                try:
                    return self.answer(200, {"ok": True, "result": api.serve(token, method, params, files)})
                except Refused as refused:
                    return self.answer(refused.code, refused.body)

            do_POST = do_GET

            def answer(self, status: int, body: Any) -> None:
                if status == 0:
                    self.close_connection = True
                    self.connection.close()
                    return
                data = body if isinstance(body, bytes) else json.dumps(body).encode()
                try:
                    self.send_response(status)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(data)))
                    self.end_headers()
                    self.wfile.write(data)
                except OSError:
                    self.close_connection = True

            def log_message(self, *_args: Any) -> None:
                return

        return Handler


def _request(query: str, kind: str, body: bytes) -> tuple[dict[str, Any], dict[str, tuple[str, bytes]]]:
    """Merge what stands in the query, in a form, in JSON or in a form with files."""
    params: dict[str, Any] = dict(parse_qsl(query, keep_blank_values=True))
    files: dict[str, tuple[str, bytes]] = {}
    if kind.startswith("application/json"):
        params |= json.loads(body)
    elif kind.startswith("application/x-www-form-urlencoded"):
        params |= dict(parse_qsl(body.decode(), keep_blank_values=True))
    elif kind.startswith("multipart/form-data"):
        for part in message_from_bytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body).get_payload():
            name, file = (part.get_param(key, header="content-disposition") for key in ("name", "filename"))
            content = part.get_payload(decode=True)
            if file is None:
                params[name] = content.decode()
            else:
                files[name] = (file, content)
    for key in (
        "reply_markup",
        "link_preview_options",
        "commands",
        "scope",
        "allowed_updates",
        "caption_entities",
        "prices",
    ):
        if isinstance(params.get(key), str):
            params[key] = json.loads(params[key])
    return params, files


class _Html(HTMLParser):
    """Telegram's HTML: few tags, all closed, nothing bare."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag not in TAGS:
            raise Refused(400, f'Bad Request: can\'t parse entities: Unsupported start tag "{tag}"')
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            raise Refused(400, f"Bad Request: can't parse entities: unexpected end tag {tag}")

    def handle_data(self, data: str) -> None:
        self.text += data


def _parsed(text: str) -> str:
    parser = _Html()
    parser.feed(text)
    parser.close()
    if parser.open:
        raise Refused(400, f"Bad Request: can't parse entities: can't find end tag {parser.open[-1]}")
    return parser.text


@dataclass
class Person:
    """Somebody with a phone."""

    api: BotApi
    number: int
    who: dict[str, Any]

    @property
    def chat(self) -> dict[str, Any]:
        return {"id": self.number, "type": "private", "first_name": self.who["first_name"]}

    def say(self, text: str, **more: Any) -> int:
        """Send a message to the bot."""
        body = {"message_id": 1, "date": int(time.time()), "chat": self.chat, "from": self.who, "text": text, **more}
        return self.api.push({"message": body})

    def press(self, label: str, *, tap: int = 1, message: Message | None = None) -> str:
        """Press the newest button whose label contains `label`; return the id of the (last) press."""
        found = message or next(
            (each for each in reversed(self.messages) if any(label in text for text in each.labels())), None
        )
        assert found is not None, f"no button {label!r} in {[each.labels() for each in self.messages]}"
        button = next(button for row in found.rows for button in row if label in button["text"])
        for _ in range(tap):
            key = self.tap(button["callback_data"], found)
        return key

    def tap(self, token: str, under: Message | None = None, **more: Any) -> str:
        """Send what a button carries, from whatever message."""
        key = f"press{len(self.api.presses)}"
        self.api.presses[key] = time.monotonic()
        shown = {
            "message_id": under.number if under else 1,
            "date": int(time.time()),
            "chat": self.chat,
            "text": "…",
        }
        body = {"id": key, "from": self.who, "message": shown, "chat_instance": "1", "data": token} | more
        self.api.push({"callback_query": body})
        return key

    def ask_to_pay(self, link: str) -> str:
        """Open an invoice and press Pay: Telegram asks the bot. Return the question's id."""
        key = f"ask{len(self.api.presses)}-{self.number}"
        self.api.presses[key] = time.monotonic()
        invoice = self.api.invoices[link]
        price = {"currency": invoice["currency"], "total_amount": invoice["amount"]}
        self.api.push(
            {"pre_checkout_query": {"id": key, "from": self.who, "invoice_payload": invoice["payload"], **price}}
        )
        return key

    def let_pay(self, key: str, seconds: float = 10) -> bool:
        """Wait for the bot's answer as long as Telegram does; return what it was."""
        end = time.monotonic() + seconds
        with self.api.changed:
            while key not in self.api.asked and time.monotonic() < end:
                self.api.changed.wait(max(0.0, end - time.monotonic()))
        return str(self.api.asked.get(key, {}).get("ok")).lower() == "true"

    def pay_now(self, link: str, *, tell: bool = True) -> str:
        """Money moves; return the charge id. With `tell` the bot hears of it."""
        invoice = self.api.invoices[link]
        charge = f"stx{len(self.api.transactions):04d}-{self.number}"
        if invoice["currency"] == "XTR":
            source = {"type": "user", "transaction_type": "invoice_payment", "user": self.who}
            source["invoice_payload"] = invoice["payload"]
            row = {"id": charge, "amount": invoice["amount"], "date": int(self.api.now()), "source": source}
            self.api.transactions.append(row)
        if tell:
            self.paid(charge, invoice)
        return charge

    def paid(self, charge: str, invoice: dict[str, Any], *, back: bool = False) -> None:
        """What Telegram brings once money moved."""
        told = {
            "currency": invoice["currency"],
            "total_amount": invoice["amount"],
            "invoice_payload": invoice["payload"],
        }
        told |= {"telegram_payment_charge_id": charge, "provider_payment_charge_id": ""}
        self.say("", **{"refunded_payment" if back else "successful_payment": told})

    @property
    def messages(self) -> list[Message]:
        return self.api.chats[self.number]

    @property
    def last(self) -> Message:
        return self.messages[-1]

    def wait(self, text: str, seconds: float = 30, after: int = 0) -> Message:
        """Wait until a message (after the first `after` ones) contains `text`."""
        end = time.monotonic() + seconds
        with self.api.changed:
            while True:
                for each in reversed(self.messages[after:]):
                    if text in each.text:
                        return each
                left = end - time.monotonic()
                assert left > 0, f"no {text!r} in {[each.text for each in self.messages]}"
                self.api.changed.wait(left)

    def files(self, kind: str) -> list[tuple[str, bytes]]:
        """The files that came, oldest first."""
        return [each.files[kind] for each in self.messages if kind in each.files]
