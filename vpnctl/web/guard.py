"""What stands before every route: hosts, sizes, patience, how many at once, and headers that every answer has.

Nothing here or behind it looks at who calls: neither the connection's address nor X-Forwarded-For is read.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable, Collection, Iterator
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vpnctl.errors import bug
from vpnctl.rules.grammar import is_address
from vpnctl.web import problems
from vpnctl.web.rate_limit import TokenBuckets

LARGEST_BODY = 64 * 1024
"""Bytes. A webhook is smaller, and so is everything else that we are told."""
LONGEST_ADDRESS, LARGEST_HEAD = 4096, 16 * 1024
BODY_SECONDS = 10.0
SEND_SECONDS = 20.0
MAX_CONCURRENT, MAX_READING = 256, 1024
"""Requests at work, and bodies that are being read."""
CLOSE = {"Connection": "close"}
_HOST = re.compile(r"(\[[0-9a-f:.]{2,45}\]|[a-z0-9.-]{1,253})(?::[0-9]{1,5})?")
OWN = {"localhost", "127.0.0.1", "[::1]"}
ALWAYS = ("/healthz", "/readyz")
"""Answered for whoever asks, however much there is to do: load balancers ask by address."""
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class RequestGuard:
    """See the module. `hosts` are those that we answer for, without ports, beside this machine's own; None: all.

    A wildcard among them (`0.0.0.0`, `::`) means any address, but no name. `log` hears of failures, not of addresses.
    """

    def __init__(self, inner: ASGIApp, hosts: Collection[str] | None, log: Callable[[str], None]) -> None:
        self._inner, self._log = inner, log
        self._hosts = None if hosts is None else {_named(each) for each in hosts} | OWN
        self._failures = TokenBuckets(1 / 60, 3)
        self._working, self._reading = [0], [0]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection's event, as ASGI has it."""
        if scope["type"] == "lifespan":
            await self._inner(scope, receive, send)
        elif scope["type"] == "http":
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def out(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                self._complete(scope, message)
            await asyncio.wait_for(send(message), SEND_SECONDS)  # whoever does not read does not keep us

        try:
            self._check(scope)
            with _counted(self._reading, MAX_READING):
                whole = await _read_body(receive)
            if scope["path"] in ALWAYS:
                await self._inner(scope, whole, out)
            else:
                with _counted(self._working, MAX_CONCURRENT):
                    await self._inner(scope, whole, out)
        except problems.Refusal as error:
            await problems.of(error)(scope, receive, out)
        except TimeoutError:
            raise ConnectionResetError from None  # the server closes the connection
        except Exception as error:  # noqa: BLE001 - the edge: a bug is told by type and place only
            self._log(bug(error))
            if not begun:
                await problems.of(error)(scope, receive, out)

    def _complete(self, scope: Scope, start: Message) -> None:
        headers = MutableHeaders(scope=start)
        for name, value in HEADERS.items():
            headers.setdefault(name, value)
        if start["status"] >= problems.BROKEN:
            self._fail(scope, start["status"])

    def _check(self, scope: Scope) -> None:
        """Raise Refusal unless the head of a request may pass. What is refused unread closes its connection."""
        names = [name for name, _ in scope["headers"]]
        if len(scope["raw_path"]) + len(scope["query_string"]) > LONGEST_ADDRESS:
            raise problems.Refusal(problems.LONG_ADDRESS, "the address is too long", headers=CLOSE)
        if sum(len(name) + len(value) for name, value in scope["headers"]) > LARGEST_HEAD:
            raise problems.Refusal(problems.LARGE_HEAD, "the headers are too large", headers=CLOSE)
        if b"content-length" in names and b"transfer-encoding" in names:
            raise problems.Refusal(problems.BAD_REQUEST, "two lengths of one body", headers=CLOSE)
        named = [value.decode("latin-1").lower() for name, value in scope["headers"] if name == b"host"]
        known = self._hosts is None or scope["path"] in ALWAYS or (len(named) == 1 and self._serves(named[0]))
        if not known:
            raise problems.Refusal(problems.MISDIRECTED, "this host is not served here", headers=CLOSE)

    def _serves(self, named: str) -> bool:
        found = _HOST.fullmatch(named)
        if found is None or self._hosts is None:
            return False
        host = found.group(1)
        anywhere = bool(self._hosts & {"0.0.0.0", "[::]"})  # noqa: S104 - a setting that is looked at
        return host in self._hosts or (anywhere and is_address(host.strip("[]")))

    def _fail(self, scope: Scope, status: int) -> None:
        """Say what failed, by its route: a path may hold a secret."""
        route = getattr(scope.get("route"), "path", "a request")
        with contextlib.suppress(problems.Refusal):
            self._failures.take(f"{route} {status}")
            self._log(f"{scope['method']} {route} was answered with {status}")


@contextlib.contextmanager
def _counted(count: list[int], most: int) -> Iterator[None]:
    """Be one of `most` in a context. Raises Refusal when there are so many already."""
    if count[0] >= most:
        raise problems.Refusal(problems.UNAVAILABLE, "too many requests at once", headers={"Retry-After": "1"} | CLOSE)
    count[0] += 1
    try:
        yield
    finally:
        count[0] -= 1


def _named(host: str) -> str:
    return f"[{host}]" if ":" in host else host.lower()


async def _read_body(receive: Receive) -> Receive:
    """Read the body at once, within limits, and return what replays it."""
    parts: list[bytes] = []
    size = 0

    async def read() -> None:
        nonlocal size
        while True:
            message = await receive()
            if message["type"] != "http.request":
                raise problems.Refusal(problems.BAD_REQUEST, "the request ended early")
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > LARGEST_BODY:
                raise problems.Refusal(problems.TOO_LARGE, f"more than {LARGEST_BODY} bytes", headers=CLOSE)
            if not message.get("more_body", False):
                return

    try:
        await asyncio.wait_for(read(), BODY_SECONDS)
    except TimeoutError:
        late = "the body did not come in time"
        raise problems.Refusal(problems.TIMEOUT, late, headers=CLOSE) from None
    whole: dict[str, Any] | None = {"type": "http.request", "body": b"".join(parts), "more_body": False}

    async def replay() -> Message:
        nonlocal whole
        if whole is None:
            return await receive()
        message, whole = whole, None
        return message

    return replay
