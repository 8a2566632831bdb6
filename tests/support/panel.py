"""A 3x-ui panel for the tests: the shapes and the quirks of four generations, in memory, and over TLS on loopback.

Modelled on MHSanaei/3x-ui v2.9.4 and v3.6.0, both of which were run beside it; tests/lab/test_journey.py runs the former.
"""

from __future__ import annotations

import json
import ssl
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

OLD, MIDDLE, NEW = "2.9", "3.0", "3.1"
ANCIENT = "2.3"
GENERATIONS = (ANCIENT, OLD, MIDDLE, NEW)
HTML = b"<!doctype html><html><body>nginx</body></html>"
REALITY = {
    "network": "tcp",
    "security": "reality",
    "realitySettings": {
        "target": "example.org:443",
        "serverNames": ["example.org"],
        "privateKey": "aGm4bF1wGXGpMjVlC0KZxJTM9qzSXp0s7lN2u0nPkWk",
        "shortIds": ["ab12", "cd"],
        "settings": {"publicKey": "", "fingerprint": "firefox", "serverName": "", "spiderX": "/"},
    },
}
DRIP = 0.0
"""Seconds between the bytes of an answer over TLS."""
Answer = tuple[int, dict[str, str], bytes]


@dataclass
class Panel:
    """One panel. Its inbounds: number -> what the database of a panel holds of it."""

    generation: str = NEW
    base: str = "/abc"
    login: tuple[str, str] = ("admin", "s3cret")
    token: str = "t0ken-of-the-panel-1234"
    inbounds: dict[int, dict[str, Any]] = field(default_factory=dict)
    mood: str = ""
    """`html`, `redirect`, `deaf` (says ok and does nothing), `odd`, `error`, `slow`; empty: it works."""
    records: dict[str, int] = field(default_factory=dict)
    """Email -> limit of devices, which newer panels keep beside the inbound."""
    asked: list[str] = field(default_factory=list)
    logins: int = 0
    logs: bool = True
    """Whether its core keeps an access log."""
    cut: list[str] = field(default_factory=list)
    """Whose connections were ended."""
    sessions: dict[str, str] = field(default_factory=dict)
    """Cookie -> the second secret of it."""

    def add(
        self, number: int, port: int, protocol: str = "vless", stream: Any = None, **settings: Any
    ) -> dict[str, Any]:
        """Add an inbound as its keeper would."""
        self.inbounds[number] = {
            "id": number,
            "port": port,
            "protocol": protocol,
            "enable": True,
            "settings": {"clients": [], "decryption": "none", **settings},
            "stream": REALITY if stream is None else stream,
            "stats": {},
        }
        return self.inbounds[number]

    def put(self, number: int, email: str, **more: Any) -> None:
        """Put somebody in by hand."""
        one = self.inbounds[number]
        one["settings"]["clients"].append({"email": email, "id": str(uuid.uuid4()), "enable": True, **more})
        one["stats"][email] = {"enable": True, "up": 0, "down": 0}

    def clients(self, number: int) -> dict[str, dict[str, Any]]:
        """Return who is in an inbound, by name."""
        return {each["email"]: each for each in self.inbounds[number]["settings"]["clients"]}

    @property
    def csrf(self) -> bool:
        return self.generation in (MIDDLE, NEW)

    def handle(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        """Answer one request."""
        self.asked.append(f"{method} {path}")
        if self.mood == "html":
            return 200, {"content-type": "text/html"}, HTML
        if self.mood == "redirect":
            return 307, {"location": "/elsewhere"}, b""
        if self.mood == "slow":
            time.sleep(30)
        if not path.startswith(f"{self.base}/"):
            return 404, {}, b""
        here = path.removeprefix(f"{self.base}/")
        cookie = headers.get("cookie", "").partition("=")[2]
        if here == "csrf-token":
            return self._mark(cookie) if self.csrf else (404, {}, b"")
        if here == "login":
            return self._login(cookie, headers, body)
        bearer = headers.get("authorization", "") == f"Bearer {self.token}" and self.csrf
        if not bearer and not (cookie in self.sessions and self.sessions[cookie].startswith("in ")):
            return self._stranger(headers)
        if self.csrf and not bearer and method == "POST" and headers.get("x-csrf-token") != self.sessions[cookie][3:]:
            return 403, {}, b""
        return self._api(method, here.removeprefix("panel/api/").split("/"), body)

    def _mark(self, cookie: str) -> Answer:
        known = cookie in self.sessions
        cookie = cookie if known else uuid.uuid4().hex
        self.sessions.setdefault(cookie, f"no {uuid.uuid4().hex}")
        said = {} if known else {"set-cookie": f"3x-ui={cookie}; Path=/; HttpOnly"}
        return 200, said, json.dumps({"success": True, "obj": self.sessions[cookie][3:]}).encode()

    def _login(self, cookie: str, headers: dict[str, str], body: bytes) -> Answer:
        if self.csrf and (cookie not in self.sessions or headers.get("x-csrf-token") != self.sessions[cookie][3:]):
            return 403, {}, b""
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        self.logins += 1
        if (form.get("username"), form.get("password")) != self.login:
            return _say(False, None, "Ungültige Anmeldung")
        new = uuid.uuid4().hex
        self.sessions[new] = f"in {uuid.uuid4().hex}"
        name = "session" if self.generation == ANCIENT else "3x-ui"
        status, _, said = _say(True)
        return status, {"set-cookie": f"{name}={new}; Path=/; HttpOnly"}, said

    def _stranger(self, headers: dict[str, str]) -> Answer:
        ajax = headers.get("x-requested-with") == "XMLHttpRequest"
        if self.generation == ANCIENT:
            return (401, {}, b"{}") if ajax else (307, {"location": f"{self.base}/"}, b"")
        return (401 if ajax and self.csrf else 404), {}, b""

    def _api(self, method: str, path: list[str], body: bytes) -> Answer:
        words = [unquote(each) for each in path]
        if self.mood == "error":
            return 502, {}, b"bad gateway"
        if method == "GET" and words == ["inbounds", "list"]:
            return _say(
                True, {"what": "else"} if self.mood == "odd" else [self._shown(each) for each in self.inbounds.values()]
            )
        if self.generation == NEW and words[0] == "clients":
            return self._clients(method, words[1:], json.loads(body or b"{}"))
        if self.generation != NEW and words[0] == "inbounds" and method == "POST":
            return self._old(words[1:], json.loads(body or b"{}"))
        return 404, {}, b""

    def _shown(self, one: dict[str, Any]) -> dict[str, Any]:
        settings, stream = one["settings"], one["stream"]
        if self.generation != NEW:
            settings, stream = json.dumps(settings, indent=2), json.dumps(stream)
        plain = {name: one[name] for name in ("id", "port", "protocol", "enable")}
        stats = [{"inboundId": one["id"], "email": email, **row} for email, row in one["stats"].items()]
        return {**plain, "remark": "x", "settings": settings, "streamSettings": stream, "clientStats": stats or None}

    def _old(self, words: list[str], body: dict[str, Any]) -> Answer:
        if words[0] == "addClient":
            return self._add(body["id"], json.loads(body["settings"])["clients"])
        if words[0] == "updateClient":
            one, new = self.inbounds[body["id"]], json.loads(body["settings"])["clients"][0]
            return self._write(one, words[1], new)
        if len(words) == 3 and words[1] == "delClient":
            one = self.inbounds[int(words[0])]
            left = [each for each in one["settings"]["clients"] if self._key(one, each) != words[2]]
            if not left:
                return _say(False, None, "(no client remained in Inbound)")
            return self._keep(one, left)
        return 404, {}, b""

    def _key(self, one: dict[str, Any], client: dict[str, Any]) -> str:
        field_ = {"trojan": "password", "shadowsocks": "email"}.get(one["protocol"], "id")
        return str(client.get(field_))

    def _add(self, number: int, new: list[dict[str, Any]]) -> Answer:
        taken = {each["email"] for one in self.inbounds.values() for each in one["settings"]["clients"]}
        twice = next((each["email"] for each in new if each["email"] in taken), None)
        if twice:
            return _say(False, None, f"(Duplicate email: {twice})")
        if self.mood != "deaf":
            one = self.inbounds[number]
            one["settings"]["clients"] += new
            one["stats"] |= {each["email"]: {"enable": True, "up": 0, "down": 0} for each in new}
        return _say(True)

    def _write(self, one: dict[str, Any], key: str, new: dict[str, Any]) -> Answer:
        rows = one["settings"]["clients"]
        at = next((place for place, each in enumerate(rows) if self._key(one, each) == key), None)
        if at is None:
            return _say(False, None, "(empty client ID)")
        if self.mood != "deaf":
            rows[at] = new  # whatever was left out is gone
            one["stats"][new["email"]]["enable"] = new.get("enable", False)
        return _say(True)

    def _keep(self, one: dict[str, Any], left: list[dict[str, Any]]) -> Answer:
        if self.mood != "deaf":
            one["settings"]["clients"] = left
            names = {each["email"] for each in left}
            one["stats"] = {email: row for email, row in one["stats"].items() if email in names}
        return _say(True)

    def _clients(self, method: str, words: list[str], body: dict[str, Any]) -> Answer:
        if words[0] == "add":
            client = {**body["client"], "enable": True}  # what it says of `enable` is not heard
            return self._add(body["inboundIds"][0], [client])
        one = next(
            (one for one in self.inbounds.values() if words[-1] in {c["email"] for c in one["settings"]["clients"]}),
            None,
        )
        if one is None:
            return _say(False, None, "(record not found)")
        if words[0] == "get" and method == "GET":
            return _say(
                True, {"client": {"id": 4, "limitHwid": self.records.get(words[-1], 0)}, "inboundIds": [one["id"]]}
            )
        if words[0] == "update":
            self.records[words[-1]] = body.pop("limitHwid", 0)
            key = next(self._key(one, each) for each in one["settings"]["clients"] if each["email"] == words[-1])
            return self._write(one, key, body)
        if words[0] == "del":
            return self._keep(one, [each for each in one["settings"]["clients"] if each["email"] != words[-1]])
        return 404, {}, b""


def _say(success: bool, found: Any = None, said: str = "") -> Answer:
    return (
        200,
        {"content-type": "application/json"},
        json.dumps({"success": success, "msg": said, "obj": found}).encode(),
    )


def answer_shell(panel: Panel, stdin: bytes, shown: str, now: int) -> tuple[bytes, str]:
    """Do what panel.sh does with these bytes on a server that shows this token; return (stdout, the token then)."""
    size, _, rest = stdin.partition(b"\n")
    rest = rest[int(size) :]
    (nonce, seen, fresh), rest = rest.split(b"\n", 3)[:3], rest.split(b"\n", 3)[3]
    if seen != b"." and seen.decode() != shown:
        return b"refused moved\ntoken %s\nend %s\n" % (shown.encode(), nonce), shown
    shown = shown if seen == b"." else fresh.decode()
    out = f"token {shown}\nclock {now}\n".encode()
    while rest:
        size, _, rest = rest.partition(b"\n")
        if size.startswith(b"cut "):
            port, *names = size.decode().split()[1:]
            panel.cut += names if panel.logs else []
            out += f"cut {port} {0 if panel.logs else 'unknown'}\n".encode()
            continue
        config, rest = rest[: int(size)].decode(), rest[int(size) :]
        status, headers, body = panel.handle(*_parsed(config))
        head = f"HTTP/1.1 {status} Word\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        whole = head.encode() + b"\r\n" + body
        out += f"reply 0 {len(whole)}\n".encode() + whole + b"\n"
    return out + b"end " + nonce + b"\n", shown


def _parsed(config: str) -> tuple[str, str, dict[str, str], bytes]:
    """Return (method, path, headers, body) of curl's config."""
    pairs = [line.partition(" = ")[::2] for line in config.splitlines()]
    values = [(name, json.loads(value)) for name, value in pairs if value]
    headers = {
        name.lower(): value for key, line in values if key == "header" for name, _, value in [line.partition(": ")]
    }
    one = dict(values)
    return one.get("request", "GET"), f"/{one['url'].split('/', 3)[3]}", headers, one.get("data-raw", "").encode()


@contextmanager
def serving(panel: Panel, folder: Path) -> Iterator[tuple[int, str]]:
    """Serve a panel over TLS with a certificate that nobody vouches for; yield (port, fingerprint)."""
    pem, fingerprint = _certificate(folder)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, said, found = panel.handle(self.command, self.path, headers, body)
            self.send_response(status)
            for name, value in {**said, "content-length": str(len(found))}.items():
                self.send_header(name, value)
            self.end_headers()
            for at in range(len(found)) if DRIP else ():
                self.wfile.write(found[at : at + 1])
                time.sleep(DRIP)
            if not DRIP:
                self.wfile.write(found)

        do_GET = do_POST = _answer

        def log_message(self, *_words: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield server.server_address[1], fingerprint
        finally:
            server.shutdown()
            thread.join()


def _certificate(folder: Path) -> tuple[Path, str]:
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "panel")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / "panel.pem"
    path.write_bytes(secret + made.public_bytes(serialization.Encoding.PEM))
    return path, f"SHA256:{made.fingerprint(hashes.SHA256()).hex()}"
