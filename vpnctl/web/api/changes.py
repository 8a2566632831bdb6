"""How a change is asked for over the API: once, with an outcome that was seen on the nodes, or a run to follow."""

from __future__ import annotations

import asyncio
import hashlib
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.encoders import jsonable_encoder
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse

from vpnctl.actions.outcome import Concerning
from vpnctl.actions.service import apiruns
from vpnctl.actions.service.apiruns import ApiRequest, Shown
from vpnctl.app import App
from vpnctl.rules.scopes import Scope
from vpnctl.store.serving_rows import ApiKey, ApiRun
from vpnctl.web.access import Served, key_check, needs
from vpnctl.web.api import views
from vpnctl.web.api.shapes import Identified, changing
from vpnctl.web.rate_limit import Waiters

D = TypeVar("D", bound=Concerning)
POLL_SECONDS, DEFAULT_WAIT, MAX_WAIT = 0.2, 10, 60
Wait = Annotated[int, Query(ge=0, le=MAX_WAIT, description="Seconds to wait until the nodes were seen to agree.")]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern="^[!-~]{1,80}$",
        description="The same request under the same key is done once.",
    ),
]
Key = Annotated[ApiKey, Depends(needs())]
router = APIRouter(tags=["runs"])


@dataclass(frozen=True)
class Call:
    """One request for a change."""

    app: App
    asked: ApiRequest
    wait: int
    waiters: Waiters

    async def carry_out(self, verb: Callable[[App], D], shown: Callable[[D], Shown]) -> JSONResponse:
        """Do it and answer: 200 when all its nodes were seen to agree in time, else 202 with a run to follow."""
        run = await run_in_threadpool(apiruns.ask, self.app, self.asked, verb, shown)
        return await outcome(self.app, run, self.wait, self.waiters)


def caller(*scopes: Scope) -> Callable[..., Any]:
    """Return the dependency that lets in who may ask for a change, and says what they ask."""

    async def call(request: Request, wait: Wait = DEFAULT_WAIT, once: IdempotencyKey = None) -> Call:
        here = key_check(request)
        key = await run_in_threadpool(here.enter, request, *scopes)
        query = sorted((name, value) for name, value in request.query_params.multi_items() if name != "wait")
        what = f"{request.method} {request.url.path} {query}\n".encode() + await request.body()
        asked = ApiRequest(key, once, hashlib.sha256(what).hexdigest())
        return Call(replace(here.app, run_id=str(uuid.uuid4())), asked, wait, here.waiters)

    return call


async def outcome(app: App, run: ApiRun, wait: float, waiters: Waiters) -> JSONResponse:
    """Wait until the nodes of a run agree, at most so long, and say how it stands.

    Where too many wait already, it is said at once how it stands.
    """
    end = time.monotonic() + wait
    left = await run_in_threadpool(_left, app, run)
    if left and wait:
        with waiters.one(run.api_key_id) as allowed:
            while left and allowed and time.monotonic() < end and not waiters.stop.is_set():
                await asyncio.sleep(POLL_SECONDS)
                left = await run_in_threadpool(_left, app, run)
    result = await run_in_threadpool(_result, app, run)
    body = {"run": run.id, "settled": not left, "pending": left, "result": result}
    where = {"Location": f"/api/v1/runs/{run.id}"} if left else {}
    return JSONResponse(body, 202 if left else 200, where)


def _result(app: App, run: ApiRun) -> Any:
    with app.store.read() as tx:
        shown = Shown(run.shows["kind"], tuple(run.shows["ids"]))
        return jsonable_encoder(views.rendered(tx, app, shown))


def _left(app: App, run: ApiRun) -> list[dict[str, str]]:
    with app.store.read() as tx:
        return [{"node": each.node, "why": each.why} for each in apiruns.waiting(tx, run, app.clock())]


@router.get("/runs/{run_id}", **changing(Any))
async def follow(request: Request, run_id: Identified, app: Served, key: Key, wait: Wait = 0) -> JSONResponse:
    """Say how a change of this key stands; with `wait`, wait for its nodes."""

    def found() -> ApiRun:
        with app.store.read() as tx:
            return apiruns.named(tx, key, run_id)

    return await outcome(app, await run_in_threadpool(found), wait, key_check(request).waiters)
