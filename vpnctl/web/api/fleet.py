"""Nodes and endpoints. What needs a login on a server (add, provision, rebuild) is the command line's."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import Field
from starlette.responses import JSONResponse

from vpnctl.actions.fleet import nodes as verbs
from vpnctl.actions.outcome import Done
from vpnctl.actions.people import evacuation
from vpnctl.app import App
from vpnctl.errors import NotFound
from vpnctl.reports import fleet
from vpnctl.reports.fleet import EndpointView, NodeView
from vpnctl.rules.grammar import clean
from vpnctl.rules.scopes import Scope
from vpnctl.store import find
from vpnctl.store.engine import Tx
from vpnctl.store.rows import Node
from vpnctl.web.access import Served, needs
from vpnctl.web.api.changes import Call, caller
from vpnctl.web.api.shapes import Body, Named, changing

NODE = changing(NodeView)
Changing = Annotated[Call, Depends(caller(Scope.FLEET))]
router = APIRouter(tags=["fleet"])
READING = [Depends(needs(Scope.READ))]


class NodeChange(Body):
    """Details of a node; what is left out stays."""

    region: str | None = Field(None, max_length=64, examples=["Helsinki"])
    capacity: int | None = Field(None, ge=0, le=65_000, description="Devices that it is meant for.")
    rent_due: date | None = None
    traffic_action: Annotated[str | None, Field(pattern="^(warn|close|stop)$")] = None


@router.get("/nodes", response_model=list[NodeView], dependencies=READING)
def listed(app: Served, retired: bool = False) -> Any:
    """All nodes with their observed state."""
    with app.store.read() as tx:
        return fleet.nodes(tx, app.clock(), retired=retired)


@router.get("/nodes/{name}", response_model=NodeView, dependencies=READING)
def one(app: Served, name: Named) -> Any:
    """One node."""
    with app.store.read() as tx:
        return _view(tx, app, find.node(tx, name).name)


@router.get("/nodes/{name}/endpoints", response_model=list[EndpointView], dependencies=READING)
def endpoints(app: Served, name: Named) -> Any:
    """What a node serves."""
    with app.store.read() as tx:
        return fleet.endpoints(tx, find.node(tx, name).id)


@router.patch("/nodes/{name}", **NODE)
async def change(name: Named, given: NodeChange, call: Changing) -> JSONResponse:
    """Changing details of a node."""
    details = given.model_dump(exclude_none=True)
    return await call.carry_out(lambda app: Done(verbs.change(app, name, details), []), _shown)


@router.post("/nodes/{name}/drain", **NODE)
async def drain(name: Named, call: Changing) -> JSONResponse:
    """Let no new devices onto a node; those that are there stay."""
    return await call.carry_out(lambda app: Done(evacuation.drain(app, name), []), _shown)


@router.post("/nodes/{name}/undrain", **NODE)
async def undrain(name: Named, call: Changing) -> JSONResponse:
    """Let new devices onto a node again."""
    return await call.carry_out(lambda app: Done(evacuation.drain(app, name, draining=False), []), _shown)


@router.post("/nodes/{name}/sync", **NODE)
async def sync(name: Named, call: Changing) -> JSONResponse:
    """Have a node read, brought to agree, and read again, also when nothing is known to be pending there."""
    return await call.carry_out(lambda app: verbs.look_again(app, name), _shown)


def _shown(tx: Tx, app: App, done: Done[Node]) -> NodeView:
    return _view(tx, app, done.made.name)


def _view(tx: Tx, app: App, name: str) -> NodeView:
    found = fleet.nodes(tx, app.clock(), name=name)
    if not found:
        raise NotFound(f"there is no node {clean(name)}")
    return found[0]
