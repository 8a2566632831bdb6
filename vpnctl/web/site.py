"""The whole site: routes, errors, and what stands before them."""

from __future__ import annotations

import functools
import json
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

from vpnctl import __version__
from vpnctl.app import App
from vpnctl.errors import VpnctlError
from vpnctl.web import health, links, problems, webhooks
from vpnctl.web.access import KeyCheck, needs
from vpnctl.web.api import changes, configs, devices, fleet, people, records, sales
from vpnctl.web.api.shapes import PROBLEM
from vpnctl.web.guard import RequestGuard

BASE, METHOD_NOT_ALLOWED = "/api/v1", 405
PROBLEM_SCHEMA = "#/components/schemas/Problem"
ABOUT = """The admin API of vpnctl. A key stands in `Authorization: Bearer …`; keys are made by `vpnctl apikey add`.

Every change is saved before it is answered. The answer is 200 when each node that it concerns was read again and
agrees, and 202 with a run to follow when some did not in time: then it is made as soon as they answer.
Times are RFC 3339, sizes bytes, money minor units."""


def site(
    app: App, log: Callable[[str], None], telegram: webhooks.Telegram | None, stop: threading.Event
) -> RequestGuard:
    """Return the site as an ASGI application; once `stop` is set, nobody is kept waiting."""
    key_check = KeyCheck(app, stop)
    made = _bare("vpnctl")
    made.include_router(health.health(app))
    made.include_router(health.metrics(app, key_check))
    made.include_router(webhooks.routes(app, telegram, log))
    made.include_router(links.routes(app))
    made.include_router(_api())
    made.include_router(_description(made))
    made.state.key_check = key_check
    named = urlsplit(app.settings.web_url).hostname
    return RequestGuard(made, {*([named] if named else []), app.settings.web_listen[0]}, log)


def figures(app: App, log: Callable[[str], None]) -> RequestGuard:
    """Return the site of the figures' own port: `/metrics` without a key, and `/healthz`."""
    made = _bare("vpnctl figures")
    made.include_router(health.health(app))
    made.include_router(health.metrics(app, None))
    return RequestGuard(made, None, log)


def _bare(title: str) -> FastAPI:
    made = FastAPI(
        title=title,
        description=ABOUT,
        version=__version__,
        openapi_url=None,
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


def _description(site: FastAPI) -> APIRouter:
    """Return the route of the API's own description; strangers need not know that there is one."""
    router = APIRouter(dependencies=[Depends(needs())], include_in_schema=False)

    @functools.cache
    def text() -> bytes:
        found = site.openapi()
        for answer in (each for path in found["paths"].values() for route in path.values() for each in _answers(route)):
            if PROBLEM_SCHEMA in str(answer["content"]["application/json"]["schema"]):
                answer["content"] = {problems.MEDIA_TYPE: answer["content"]["application/json"]}
        return json.dumps(found).encode()

    @router.get(f"{BASE}/openapi.json")
    def description() -> Response:
        return Response(text(), media_type="application/json")

    return router


def _answers(route: dict[str, Any]) -> list[dict[str, Any]]:
    return [each for each in route["responses"].values() if "application/json" in each.get("content", {})]


async def _raised(request: Request, error: Exception) -> Any:
    """Return what is said of an error; to strangers only that it does not work now."""
    ours = isinstance(error, VpnctlError)
    if ours and not request.url.path.startswith(BASE) and problems.of(error).status_code >= problems.BROKEN:
        return problems.response(problems.UNAVAILABLE, "not now", headers={"Retry-After": "5"})
    return problems.of(error)


async def _invalid(_request: Request, error: Exception) -> Any:
    """Name what is wrong with the input; its values are not repeated, for they may be secrets."""
    wrong = error.errors() if isinstance(error, RequestValidationError) else []
    fields = [{"where": ".".join(map(str, each["loc"])), "what": each["msg"]} for each in wrong]
    first = f"{fields[0]['where']}: {fields[0]['what']}" if fields else "it cannot be read"
    return problems.response(problems.INVALID, first, exit_code=2, fields=fields)


async def _http(request: Request, error: Exception) -> Any:
    status = error.status_code if isinstance(error, HTTPException) else problems.BROKEN
    detail = {problems.MISSING: "there is nothing here", METHOD_NOT_ALLOWED: "not with this method"}.get(
        status, "not served"
    )
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    if status == METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(sorted(_methods(request)))
    return problems.response(status, detail, headers=headers)


def _methods(request: Request) -> set[str]:
    """Return all methods that some route takes at this address: Starlette names those of one route only."""
    candidates = ("GET", "POST", "PATCH", "PUT", "DELETE")
    routes = request.app.router.routes
    scopes = {method: {**request.scope, "method": method} for method in candidates}
    return {method for method in candidates if any(each.matches(scopes[method])[0] is Match.FULL for each in routes)}
