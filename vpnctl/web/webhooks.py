"""What providers of payments and Telegram call: kept before they hear that we have it, and handled elsewhere."""

from __future__ import annotations

import contextlib
import hmac
import json
from collections.abc import Callable
from typing import Any, Protocol

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from vpnctl.actions.sales import callbacks
from vpnctl.actions.sales.methods import NAMES
from vpnctl.app import App
from vpnctl.errors import InvalidInput
from vpnctl.payments.interface import Forged
from vpnctl.rules.secret import Secret
from vpnctl.web import problems
from vpnctl.web.rate_limit import TokenBuckets

SECRET_HEADER = "x-telegram-bot-api-secret-token"  # noqa: S105 - the name of a header


class Telegram(Protocol):
    """What takes Telegram's updates: keeps them all, or raises and keeps none. `secret` is what Telegram must show."""

    @property
    def secret(self) -> Secret:
        """The secret."""

    @property
    def receive(self) -> Callable[[list[Any]], object]:
        """Keep updates."""


def routes(app: App, telegram: Telegram | None, log: Callable[[str], None]) -> APIRouter:
    """Return the routes. Their addresses are told to providers, so they never change."""
    router = APIRouter(include_in_schema=False)
    said = TokenBuckets(1 / 60, 3)

    def refuse(status: int, who: str, why: str) -> problems.Refusal:
        """Say it once in a while: whoever set it up wrongly looks here."""
        with contextlib.suppress(problems.Refusal):
            said.take(who)
            log(f"a webhook of {who} was refused: {why}")
        return problems.Refusal(status, why)

    @router.post("/payments/{provider}")
    async def payment(provider: str, request: Request) -> Response:
        body = await request.body()
        try:
            await run_in_threadpool(callbacks.receive, app, provider, request.headers, body)
        except Forged as error:
            raise refuse(problems.FORBIDDEN, provider if provider in NAMES else "somebody", error.what) from None
        except InvalidInput as error:
            raise refuse(problems.BAD_REQUEST, provider if provider in NAMES else "somebody", error.what) from None
        return Response(status_code=200)

    @router.post("/telegram")
    async def update(request: Request) -> Response:
        if telegram is None:
            raise problems.Refusal(problems.MISSING, "updates are not taken here", "set telegram_updates to webhook")
        shown = request.headers.get(SECRET_HEADER, "")
        if not hmac.compare_digest(shown.encode(), telegram.secret.reveal().encode()):
            raise refuse(problems.FORBIDDEN, "Telegram", "it does not show the secret that goes with bot_token")
        try:
            said = json.loads(await request.body())
        except (ValueError, RecursionError):
            raise problems.Refusal(problems.BAD_REQUEST, "that is no update") from None
        await run_in_threadpool(telegram.receive, [said])
        return Response(status_code=200)

    return router
