"""Whether the process lives, whether it can serve, and the service's figures."""

from __future__ import annotations

import anyio
import anyio.to_thread
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from vpnctl.app import App
from vpnctl.errors import Busy, StateTrouble
from vpnctl.jobs import NAMES
from vpnctl.reports import figures
from vpnctl.rules.scopes import Scope
from vpnctl.web.access import KeyCheck

READY_SECONDS = 5.0
EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"


def health(app: App) -> APIRouter:
    """Return `/healthz` (the process lives) and `/readyz` (the database and the key file can be used)."""
    router = APIRouter(include_in_schema=False)

    @router.get("/healthz")
    async def healthz() -> JSONResponse:
        return JSONResponse({"alive": True})

    own = anyio.CapacityLimiter(4)

    @router.get("/readyz")
    async def readyz() -> JSONResponse:
        with anyio.move_on_after(READY_SECONDS):
            await anyio.to_thread.run_sync(_check, app, limiter=own, abandon_on_cancel=True)
            return JSONResponse({"ready": True})
        raise Busy("the database does not answer in time")

    return router


def metrics(app: App, key_check: KeyCheck | None) -> APIRouter:
    """Return `/metrics`; with `key_check` for keys that may read it only."""
    router = APIRouter(include_in_schema=False)

    @router.get("/metrics")
    def exposition(request: Request) -> Response:
        if key_check is not None:
            key_check.enter(request, Scope.METRICS)
        with app.store.read() as tx:
            return Response(figures.exposition(tx, app.clock(), NAMES), media_type=EXPOSITION)

    return router


def _check(app: App) -> None:
    """Raise unless the database and the key file can be used."""
    path = app.store.path
    if path is not None and not path.exists():
        raise StateTrouble(f"{path} is not there any more", "restore it, then start the process again")
    app.store.schema()
    app.vault.key_ids()
