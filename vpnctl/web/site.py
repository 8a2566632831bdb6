"""The whole site: routes, errors, and what stands before them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import Match

from vpnctl import __version__
from vpnctl.app import App
from vpnctl.errors import VpnctlError
from vpnctl.web import hooks, links, problems, vitals
from vpnctl.web.access import KeyCheck
from vpnctl.web.api import changes, configs, devices, fleet, people, records, sales
from vpnctl.web.api.shapes import PROBLEM
from vpnctl.web.guard import RequestGuard

BASE, NOT_SO = "/api/v1", 405
ABOUT = """The admin API of vpnctl. A key stands in `Authorization: Bearer …`; keys are made by `vpnctl apikey add`.

Every change is saved before it is answered. The answer is 200 when each node that it concerns was read again and
agrees, and 202 with a run to follow when some did not in time: then it is made as soon as they answer.
Times are RFC 3339, sizes bytes, money minor units."""


def site(app: App, log: Callable[[str], None], telegram: hooks.Telegram | None = None) -> RequestGuard:
    """Return the site as an ASGI application."""
    key_check = KeyCheck(app)
    made = _bare("vpnctl", f"{BASE}/openapi.json")
    made.include_router(vitals.health(app))
    made.include_router(vitals.metrics(app, key_check))
    made.include_router(hooks.routes(app, telegram))
    made.include_router(links.routes(app))
    made.include_router(_api())
    made.state.key_check = key_check
    named = urlsplit(app.settings.web_url).hostname
    return RequestGuard(made, {*([named] if named else []), app.settings.web_listen[0]}, log)


def figures(app: App, log: Callable[[str], None]) -> RequestGuard:
    """Return the site of the figures' own port: `/metrics` without a key, and `/healthz`."""
    made = _bare("vpnctl figures", None)
    made.include_router(vitals.health(app))
    made.include_router(vitals.metrics(app, None))
    listen = app.settings.metrics_listen
    return RequestGuard(made, {listen[0]} if listen else set(), log)


def _bare(title: str, openapi: str | None) -> FastAPI:
    made = FastAPI(
        title=title,
        description=ABOUT,
        version=__version__,
        openapi_url=openapi,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    for kind in (VpnctlError, problems.Refusal, Exception):
        made.add_exception_handler(kind, _raised)
    made.add_exception_handler(RequestValidationError, _invalid)
    made.add_exception_handler(HTTPException, _http)
    return made


def _api() -> APIRouter:
    bearer = HTTPBearer(auto_error=False, description="A key of `vpnctl apikey add`.")
    router = APIRouter(prefix=BASE, dependencies=[Depends(bearer)], responses=PROBLEM)
    for part in (records, fleet, people, devices, configs, sales, changes):
        router.include_router(part.router)
    return router


async def _raised(_request: Request, error: Exception) -> Any:
    return problems.of(error)


async def _invalid(_request: Request, error: Exception) -> Any:
    """Name what is wrong with the input; its values are not repeated, for they may be secrets."""
    wrong = error.errors() if isinstance(error, RequestValidationError) else []
    fields = [{"where": ".".join(map(str, each["loc"])), "what": each["msg"]} for each in wrong]
    first = f"{fields[0]['where']}: {fields[0]['what']}" if fields else "it cannot be read"
    return problems.response(problems.INVALID, first, exit_code=2, fields=fields)


async def _http(request: Request, error: Exception) -> Any:
    status = error.status_code if isinstance(error, HTTPException) else problems.BROKEN
    detail = {problems.MISSING: "there is nothing here", NOT_SO: "not with this method"}.get(status, "not served")
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    if status == NOT_SO:
        headers["Allow"] = ", ".join(sorted(_methods(request)))
    return problems.response(status, detail, headers=headers)


def _methods(request: Request) -> set[str]:
    """Return all methods that some route takes at this address: Starlette names those of one route only."""
    candidates = ("GET", "POST", "PATCH", "PUT", "DELETE")
    routes = request.app.router.routes
    scopes = {method: {**request.scope, "method": method} for method in candidates}
    return {method for method in candidates if any(each.matches(scopes[method])[0] is Match.FULL for each in routes)}
