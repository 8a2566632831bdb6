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
from vpnctl.actions.service.apiruns import ApiRequest
from vpnctl.app import App
from vpnctl.rules.scopes import Scope
from vpnctl.store.engine import Tx
from vpnctl.store.serving_rows import ApiKey, ApiRun
from vpnctl.web.access import Served, key_check, needs
from vpnctl.web.api.shapes import Identified, changing

D = TypeVar("D", bound=Concerning)
LOOK, USUAL, LONGEST = 0.1, 10, 60
Wait = Annotated[int, Query(ge=0, le=LONGEST, description="Seconds to wait until the nodes were seen to agree.")]
OnceHeader = Annotated[
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

    async def carry_out(self, verb: Callable[[App], D], shown: Callable[[Tx, App, D], Any]) -> JSONResponse:
        """Do it and answer: 200 when all its nodes were seen to agree in time, else 202 with a run to follow."""

        def answer(tx: Tx, done: D) -> Any:
            return jsonable_encoder(shown(tx, self.app, done))

        run = await run_in_threadpool(apiruns.ask, self.app, self.asked, verb, answer)
        return await outcome(self.app, run, self.wait)


def caller(*scopes: Scope) -> Callable[..., Any]:
    """Return the dependency that lets in who may ask for a change, and says what they ask."""

    async def call(request: Request, wait: Wait = USUAL, once: OnceHeader = None) -> Call:
        here = key_check(request)
        key = await run_in_threadpool(here.enter, request, *scopes)
        query = sorted((name, value) for name, value in request.query_params.multi_items() if name != "wait")
        what = f"{request.method} {request.url.path} {query}\n".encode() + await request.body()
        asked = ApiRequest(key, once, hashlib.sha256(what).hexdigest())
        return Call(replace(here.app, run_id=str(uuid.uuid4())), asked, wait)

    return call


async def outcome(app: App, run: ApiRun, wait: float) -> JSONResponse:
    """Wait until the nodes of a run agree, at most so long, and say how it stands."""
    end = time.monotonic() + wait
    while True:
        left = await run_in_threadpool(_left, app, run)
        if not left or time.monotonic() >= end:
            break
        await asyncio.sleep(LOOK)
    body = {"run": run.id, "settled": not left, "pending": left, "result": run.result}
    where = {"Location": f"/api/v1/runs/{run.id}"} if left else {}
    return JSONResponse(body, 202 if left else 200, where)


def _left(app: App, run: ApiRun) -> list[dict[str, str]]:
    with app.store.read() as tx:
        return [{"node": each.node, "why": each.why} for each in apiruns.waiting(tx, run, app.clock())]


@router.get("/runs/{run_id}", **changing(Any))
async def follow(run_id: Identified, app: Served, key: Key, wait: Wait = 0) -> JSONResponse:
    """Say how a change of this key stands; with `wait`, wait for its nodes."""

    def found() -> ApiRun:
        with app.store.read() as tx:
            return apiruns.named(tx, key, run_id)

    return await outcome(app, await run_in_threadpool(found), wait)
