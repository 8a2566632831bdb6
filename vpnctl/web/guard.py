"""What stands before every route: hosts, sizes, patience, how many at once, and headers that every answer has.

Nothing here or behind it looks at who calls: neither the connection's address nor X-Forwarded-For is read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vpnctl.errors import bug
from vpnctl.web import problems

LARGEST_BODY = 64 * 1024
"""Bytes. A webhook is smaller, and so is everything else that we are told."""
LONGEST_ADDRESS, LARGEST_HEAD = 4096, 16 * 1024
BODY_SECONDS = 10.0
AT_ONCE = 256
"""Requests at work; streams that stay open are not counted here."""
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class RequestGuard:
    """See the module. `hosts` are those that we answer for, without ports; an address of this machine is always one."""

    def __init__(self, inner: ASGIApp, hosts: Collection[str], log: Callable[[str], None]) -> None:
        self._inner, self._log = inner, log
        self._hosts = {each.lower() for each in hosts} | {"localhost", "127.0.0.1", "[::1]"}
        self._running = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection's event, as ASGI has it."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._inner(scope, receive, send)
            return
        begun = False

        async def out(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        self._running += 1
        try:
            refusal = self._refusal(scope)
            if refusal is None:
                await self._inner(scope, await _whole(receive), out)
            else:
                await problems.of(refusal)(scope, receive, out)
        except problems.Refusal as error:
            await problems.of(error)(scope, receive, out)
        except Exception as error:  # noqa: BLE001 - the edge: a bug is told by type and place only
            self._log(bug(error))
            if not begun:
                await problems.of(error)(scope, receive, out)
        finally:
            self._running -= 1

    def _refusal(self, scope: Scope) -> problems.Refusal | None:
        if self._running > AT_ONCE:
            return problems.Refusal(problems.UNAVAILABLE, "too many requests at once", headers={"Retry-After": "1"})
        if len(scope["raw_path"]) + len(scope["query_string"]) > LONGEST_ADDRESS:
            return problems.Refusal(problems.LONG_ADDRESS, "the address is too long")
        if sum(len(name) + len(value) for name, value in scope["headers"]) > LARGEST_HEAD:
            return problems.Refusal(problems.LARGE_HEAD, "the headers are too large")
        named = [value.decode("latin-1").lower() for name, value in scope["headers"] if name == b"host"]
        if len(named) != 1 or _bare(named[0]) not in self._hosts:
            return problems.Refusal(problems.MISDIRECTED, "this host is not served here", "set web_url to its address")
        return None


def _bare(host: str) -> str:
    """Return a host without its port; an IPv6 address keeps its brackets."""
    end = host.find("]")
    return host[: end + 1] if end >= 0 else host.partition(":")[0]


async def _whole(receive: Receive) -> Receive:
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
                raise problems.Refusal(
                    problems.TOO_LARGE, f"more than {LARGEST_BODY} bytes", headers={"Connection": "close"}
                )
            if not message.get("more_body", False):
                return

    try:
        await asyncio.wait_for(read(), BODY_SECONDS)
    except TimeoutError:
        late = "the body did not come in time"
        raise problems.Refusal(problems.TIMEOUT, late, headers={"Connection": "close"}) from None
    whole: dict[str, Any] | None = {"type": "http.request", "body": b"".join(parts), "more_body": False}

    async def replay() -> Message:
        nonlocal whole
        if whole is None:
            return await receive()
        message, whole = whole, None
        return message

    return replay
