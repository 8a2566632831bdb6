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
from vpnctl.actions.service.apiruns import Shown
from vpnctl.reports import fleet
from vpnctl.reports.fleet import EndpointView, NodeView
from vpnctl.rules.scopes import Scope
from vpnctl.store import find
from vpnctl.store.rows import Node
from vpnctl.web.access import Served, needs
from vpnctl.web.api import views
from vpnctl.web.api.changes import Call, caller
from vpnctl.web.api.shapes import Body, Named, changing

NODE = changing(NodeView)
Changing = Annotated[Call, Depends(caller(Scope.FLEET))]
router = APIRouter(tags=["fleet"])
READING = [Depends(needs(Scope.READ))]


class NodeChange(Body):
    """Details of a node; what is left out stays."""

    region: str = Field("", max_length=64, examples=["Helsinki"])
    capacity: int = Field(0, ge=0, le=65_000, description="Devices that it is meant for.")
    rent_due: date = Field(date.max, description="When its rent is due.", examples=["2027-01-31"])
    traffic_action: str = Field("warn", pattern="^(warn|close|stop)$", description="What follows used up traffic.")


@router.get("/nodes", response_model=list[NodeView], dependencies=READING)
def listed(app: Served, retired: bool = False) -> Any:
    """All nodes with their observed state."""
    with app.store.read() as tx:
        return fleet.nodes(tx, app.clock(), retired=retired)


@router.get("/nodes/{name}", response_model=NodeView, dependencies=READING)
def one(app: Served, name: Named) -> Any:
    """One node."""
    with app.store.read() as tx:
        return views.node(tx, app, name)


@router.get("/nodes/{name}/endpoints", response_model=list[EndpointView], dependencies=READING)
def endpoints(app: Served, name: Named) -> Any:
    """What a node serves."""
    with app.store.read() as tx:
        return fleet.endpoints(tx, find.node(tx, name).id)


@router.patch("/nodes/{name}", **NODE)
async def change(name: Named, given: NodeChange, call: Changing) -> JSONResponse:
    """Change details of a node."""
    details = given.model_dump(exclude_unset=True)
    return await call.carry_out(lambda app: _concerning(verbs.change(app, name, details)), _shown)


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


def _concerning(row: Node) -> Done[Node]:
    """What follows used up traffic decides who may connect there."""
    return Done(row, [row.id])


def _shown(done: Done[Node]) -> Shown:
    return Shown("node", (done.made.name,))
