"""Whether the process lives, whether it can serve, and the service's figures."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from vpnctl.app import App
from vpnctl.jobs import NAMES
from vpnctl.reports import figures
from vpnctl.rules.scopes import Scope
from vpnctl.web.access import KeyCheck

EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"


def health(app: App) -> APIRouter:
    """Return `/healthz` (the process lives) and `/readyz` (the database and the key file can be used)."""
    router = APIRouter(include_in_schema=False)

    @router.get("/healthz")
    async def healthz() -> JSONResponse:
        return JSONResponse({"alive": True})

    @router.get("/readyz")
    def readyz() -> JSONResponse:
        app.store.schema()
        app.vault.key_ids()
        return JSONResponse({"ready": True})

    return router


def metrics(app: App, key_check: KeyCheck | None) -> APIRouter:
    """Return `/metrics`; with a key_check only for keys that may read it."""
    router = APIRouter(include_in_schema=False)

    @router.get("/metrics")
    def exposition(request: Request) -> Response:
        if key_check is not None:
            key_check.enter(request, Scope.METRICS)
        with app.store.read() as tx:
            return Response(figures.exposition(tx, app.clock(), NAMES), media_type=EXPOSITION)

    return router
