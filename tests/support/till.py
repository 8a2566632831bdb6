"""YooKassa, Cryptomus, Zarinpal and Stripe on loopback, for the tests: they take no money, and lie as they are told.

Shapes after their documentation (facts in docs/payments.md). `pay` is what a person does on the provider's page.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

SHOP, SHOP_KEY = "123456", "test_canary-yookassa-key-0001"
MERCHANT, MERCHANT_KEY = "8b03432e-385b-4670-8d06-064591096795", "canary-cryptomus-payment-key-0002"
ZARIN = "11111111-2222-3333-4444-canary555555"
STRIPE_KEY, STRIPE_HOOK = "sk_test_canary0003canary", "whsec_canary0004canary"
KEYS = (SHOP_KEY, MERCHANT_KEY, ZARIN, STRIPE_KEY, STRIPE_HOOK)
Reply = tuple[int, Any]


@dataclass
class Sold:
    """One payment as its provider has it. `amount` in the provider's own writing."""

    key: str
    provider: str
    order: str
    amount: Any
    currency: str
    state: str = "waiting"
    came: float = 1.0
    """Which part of the price came."""
    refunded: bool = False


@dataclass
class Till:
    """The providers. `mood` is what they do instead of answering: `down`, `half`, `late` (5xx after it was done), `odd`."""

    mood: str = ""
    moods: dict[str, str] = field(default_factory=dict)
    """The same for one provider."""
    sold: dict[str, Sold] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    """Idempotency key -> what was made under it."""
    asked: list[tuple[str, str]] = field(default_factory=list)
    lock: Any = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def of(self, order_id: str) -> Sold:
        """The checkout of an order."""
        return next(each for each in self.sold.values() if each.order == order_id)

    def pay(self, order_id: str, part: float = 1.0) -> Sold:
        """Pay an order on the provider's page, or a part of it."""
        found = self.of(order_id)
        found.state, found.came = "paid", part
        return found

    def fail(self, order_id: str) -> None:
        self.of(order_id).state = "failed"

    def make(self, provider: str, order: str, amount: Any, currency: str, once: str, key: str = "") -> Sold:
        with self.lock:
            if once in self.keys:
                return self.sold[self.keys[once]]
            made = Sold(key or str(uuid.uuid4()), provider, order, amount, currency)
            self.sold[made.key] = made
            self.keys[once] = made.key
            return made

    def answer(self, method: str, path: str, query: dict[str, str], headers: dict[str, str], body: bytes) -> Reply:
        provider, _, rest = path.lstrip("/").partition("/")
        with self.lock:
            self.asked.append((method, path))
            work: Callable[..., Reply] = getattr(self, f"_{provider}", lambda *_: (404, {}))
            return work(method, rest, query, headers, body)

    # --- YooKassa -----------------------------------------------------------------------------

    def _yookassa(self, method: str, path: str, query: dict[str, str], headers: dict[str, str], body: bytes) -> Reply:
        good = "Basic " + base64.b64encode(f"{SHOP}:{SHOP_KEY}".encode()).decode()
        if headers.get("authorization") != good:
            return 401, {"type": "error", "code": "invalid_credentials"}
        said = json.loads(body) if body else {}
        if method == "POST" and not headers.get("idempotence-key"):
            return 400, {"type": "error", "code": "invalid_request"}
        if (method, path) == ("POST", "payments"):
            once = "yk" + headers["idempotence-key"]
            made = self.make(
                "yookassa", said["metadata"]["order_id"], said["amount"]["value"], said["amount"]["currency"], once
            )
            return 200, self._yk(made) | {
                "confirmation": {"type": "redirect", "confirmation_url": f"https://pay.example/yk/{made.key}"}
            }
        if (method, path) == ("POST", "refunds"):
            found = self.sold[said["payment_id"]]
            if found.refunded:
                return 400, {"type": "error", "code": "invalid_request", "parameter": "amount"}
            found.refunded = True
            return 200, {"id": "r1", "status": "succeeded", "payment_id": found.key}
        if path == "payments":
            paid = [each for each in self.sold.values() if each.provider == "yookassa" and each.state == "paid"]
            start = int(query.get("cursor", "0"))
            rows = [self._yk(each) for each in paid[start : start + 2]]
            more = {"next_cursor": str(start + 2)} if len(paid) > start + 2 else {}
            return 200, {"type": "list", "items": rows, **more}
        found = self.sold.get(path.rpartition("/")[2])
        return (200, self._yk(found)) if found else (404, {"type": "error", "code": "not_found"})

    def _yk(self, each: Sold) -> dict[str, Any]:
        value = f"{float(each.amount) * each.came:.2f}"
        state = {"waiting": "pending", "paid": "succeeded", "failed": "canceled"}[each.state]
        shown = {
            "id": each.key,
            "status": state,
            "paid": each.state == "paid",
            "amount": {"value": value, "currency": each.currency},
            "metadata": {"order_id": each.order},
            "created_at": "2027-01-15T12:00:00.000Z",
        }
        return shown | ({"refunded_amount": {"value": value, "currency": each.currency}} if each.refunded else {})

    # --- Cryptomus ----------------------------------------------------------------------------

    def _cryptomus(self, method: str, path: str, query: dict[str, str], headers: dict[str, str], body: bytes) -> Reply:
        sign = hashlib.md5(base64.b64encode(body) + MERCHANT_KEY.encode()).hexdigest()
        if headers.get("merchant") != MERCHANT or headers.get("sign") != sign:
            return 401, {"message": "Invalid Sign."}
        said = json.loads(body)
        if path == "payment":
            made = self.make("cryptomus", said["order_id"], said["amount"], said["currency"], "cm" + said["order_id"])
            return 200, {"state": 0, "result": self._cm(made)}
        if path == "payment/list":
            mine = [each for each in self.sold.values() if each.provider == "cryptomus"]
            return 200, {"state": 0, "result": {"items": [self._cm(each) for each in mine], "paginate": {}}}
        found = self.sold.get(said.get("uuid"))
        return (200, {"state": 0, "result": self._cm(found)}) if found else (404, {"state": 1, "message": "Not found"})

    def _cm(self, each: Sold) -> dict[str, Any]:
        state = {"waiting": "check", "paid": "paid", "failed": "cancel"}[each.state]
        if each.state == "paid" and each.came != 1:
            state = "paid_over" if each.came > 1 else "wrong_amount"
        return {
            "uuid": each.key,
            "order_id": each.order,
            "amount": each.amount,
            "currency": each.currency,
            "payer_amount": "10.00000000",
            "payer_currency": "USDT",
            "payment_amount": f"{10 * each.came:.8f}" if each.state == "paid" else None,
            "payment_status": "refund_paid" if each.refunded else state,
            "is_final": each.state != "waiting",
            "url": f"https://pay.example/cm/{each.key}",
        }

    def cryptomus_event(self, each: Sold, key: str = MERCHANT_KEY) -> bytes:
        """A webhook as PHP writes it: `/` escaped, letters not; the sign at its end."""
        said = self._cm(each) | {"type": "payment", "status": self._cm(each)["payment_status"], "note": "a/b и"}
        text = json.dumps(said, ensure_ascii=False, separators=(",", ":")).replace("/", "\\/")
        sign = hashlib.md5(base64.b64encode(text.encode()) + key.encode()).hexdigest()
        return (text[:-1] + f',"sign":"{sign}"}}').encode()

    # --- Zarinpal -----------------------------------------------------------------------------

    def _zarinpal(self, method: str, path: str, query: dict[str, str], headers: dict[str, str], body: bytes) -> Reply:
        said, what = json.loads(body), path.rpartition("/")[2]
        if said.get("merchant_id") != ZARIN:
            return 401, {"data": [], "errors": {"code": -9, "message": "The merchant id is not valid"}}
        if what == "request.json":
            key = "A" + uuid.uuid4().hex + "000"
            made = self.make("zarinpal", said["metadata"]["order_id"], said["amount"], said["currency"], key, key)
            return 200, {"data": {"code": 100, "authority": made.key, "fee": 100}, "errors": []}
        if what == "unVerified.json":
            rows = [
                {"authority": each.key, "amount": each.amount}
                for each in self.sold.values()
                if each.provider == "zarinpal" and each.state == "paid"
            ]
            return 200, {"data": {"code": 100, "authorities": rows}, "errors": []}
        found = self.sold.get(said["authority"])
        if found is None:
            return 404, {"data": [], "errors": {"code": -54, "message": "Invalid authority"}}
        if found.amount != said["amount"] or found.came != 1:
            return 422, {"data": [], "errors": {"code": -50, "message": "amounts values is not the same"}}
        if found.state not in ("paid", "verified"):
            return 422, {"data": [], "errors": {"code": -51, "message": "not active paid try"}}
        code, found.state = (101 if found.state == "verified" else 100), "verified"
        return 200, {"data": {"code": code, "ref_id": 201, "card_pan": "502229******5995"}, "errors": []}

    # --- Stripe -------------------------------------------------------------------------------

    def _stripe(self, method: str, path: str, query: dict[str, str], headers: dict[str, str], body: bytes) -> Reply:
        if headers.get("authorization") != f"Bearer {STRIPE_KEY}":
            return 401, {"error": {"type": "invalid_request_error", "message": "Invalid API Key"}}
        said = dict(parse_qsl(body.decode())) if body else {}
        if (method, path) == ("POST", "v1/checkout/sessions"):
            once = "st" + headers["idempotency-key"]
            cents = int(said["line_items[0][price_data][unit_amount]"])
            key = f"cs_test_{uuid.uuid4().hex}"
            currency = said["line_items[0][price_data][currency]"]
            made = self.make("stripe", said["client_reference_id"], cents, currency, once, key)
            return 200, self._st(made)
        if (method, path) == ("POST", "v1/refunds"):
            found = self.sold[said["payment_intent"].removeprefix("pi_")]
            if found.refunded:
                return 400, {"error": {"type": "invalid_request_error", "code": "charge_already_refunded"}}
            found.refunded = True
            return 200, {"id": "re_1", "object": "refund", "status": "succeeded"}
        if path == "v1/checkout/sessions":
            rows = [self._st(each) for each in self.sold.values() if each.provider == "stripe"]
            return 200, {"object": "list", "data": rows, "has_more": False, "url": "/v1/checkout/sessions"}
        found = self.sold.get(path.rpartition("/")[2])
        if found is None:
            return 404, {"error": {"type": "invalid_request_error", "code": "resource_missing"}}
        shown = self._st(found)
        if any(name.startswith("expand") for name in query):
            back = int(found.amount * found.came) if found.refunded else 0
            shown["payment_intent"] = {"id": f"pi_{found.key}", "object": "payment_intent"} | {
                "latest_charge": {"id": "ch_1", "object": "charge", "amount_refunded": back}
            }
        return 200, shown

    def _st(self, each: Sold) -> dict[str, Any]:
        return {
            "id": each.key,
            "object": "checkout.session",
            "amount_total": int(each.amount * each.came),
            "currency": each.currency.lower(),
            "payment_status": "paid" if each.state == "paid" else "unpaid",
            "status": {"waiting": "open", "paid": "complete", "failed": "expired"}[each.state],
            "client_reference_id": each.order,
            "payment_intent": f"pi_{each.key}",
            "url": f"https://pay.example/st/{each.key}",
        }


def _handler(till: Till) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            provider = url.path.lstrip("/").partition("/")[0]
            mood = till.moods.get(provider, till.mood)
            headers = {name.lower(): value for name, value in self.headers.items()}
            query = {name: values[0] for name, values in parse_qs(url.query).items()}
            if mood == "down":
                self.close_connection = True
                self.connection.close()
                return
            status, said = till.answer(self.command, url.path, query, headers, body)
            data = b"<html>nginx</html>" if mood == "odd" else json.dumps(said).encode()
            status = 502 if mood == "late" else status
            try:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data[: len(data) // 2] if mood == "half" else data)
                self.close_connection = mood == "half"
            except OSError:
                self.close_connection = True

        do_POST = do_GET

        def log_message(self, *_args: Any) -> None:
            return

    return Handler
