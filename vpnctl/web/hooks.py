"""What providers of payments and Telegram call: kept before they hear that we have it, and handled elsewhere."""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable
from typing import Any, Protocol

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from vpnctl.actions.sales import callbacks
from vpnctl.app import App
from vpnctl.errors import InvalidInput
from vpnctl.payments.interface import Forged
from vpnctl.rules.secret import Secret
from vpnctl.web import problems

SECRET_HEADER = "x-telegram-bot-api-secret-token"  # noqa: S105 - the name of a header


class Telegram(Protocol):
    """What takes Telegram's updates: keeps them all, or raises and keeps none. `secret` is what Telegram must show."""

    @property
    def secret(self) -> Secret:
        """The secret."""

    @property
    def receive(self) -> Callable[[list[Any]], object]:
        """Keep updates."""


def routes(app: App, telegram: Telegram | None) -> APIRouter:
    """Return the routes. Their addresses are told to providers, so they never change."""
    router = APIRouter(include_in_schema=False)

    @router.post("/payments/{provider}")
    async def payment(provider: str, request: Request) -> Response:
        body = await request.body()
        try:
            await run_in_threadpool(callbacks.receive, app, provider, request.headers, body)
        except Forged as error:
            raise problems.Refusal(problems.FORBIDDEN, error.what) from None
        except InvalidInput as error:
            raise problems.Refusal(problems.BAD_REQUEST, error.what) from None
        return Response(status_code=200)

    @router.post("/telegram")
    async def update(request: Request) -> Response:
        if telegram is None:
            raise problems.Refusal(problems.MISSING, "updates are not taken here", "set telegram_updates to webhook")
        shown = request.headers.get(SECRET_HEADER, "")
        if not hmac.compare_digest(shown.encode(), telegram.secret.reveal().encode()):
            raise problems.Refusal(problems.FORBIDDEN, "that is not Telegram")
        try:
            said = json.loads(await request.body())
        except (ValueError, RecursionError):
            raise problems.Refusal(problems.BAD_REQUEST, "that is no update") from None
        await run_in_threadpool(telegram.receive, [said])
        return Response(status_code=200)

    return router
