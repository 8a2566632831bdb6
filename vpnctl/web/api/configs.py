"""Secrets: what devices import, and people's links."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel
from starlette.responses import JSONResponse

from vpnctl.actions.outcome import Done, stamp
from vpnctl.actions.people import configs, link_address, peers
from vpnctl.actions.service.apiruns import Shown
from vpnctl.app import App
from vpnctl.reports.people import UserView
from vpnctl.rules.scopes import Scope
from vpnctl.store import events
from vpnctl.web.access import Served, needs
from vpnctl.web.api import views
from vpnctl.web.api.changes import Call, caller
from vpnctl.web.api.shapes import Identified, Named, changing

Changing = Annotated[Call, Depends(caller(Scope.PEOPLE, Scope.SECRETS))]
router = APIRouter(tags=["secrets"])
READING = [Depends(needs(Scope.SECRETS))]


class Config(BaseModel):
    """What a device imports. `forms`: the same in other shapes, such as links, by name."""

    user: str
    device: str
    node: str
    protocol: str
    config: str
    forms: dict[str, str]


class LinkView(BaseModel):
    """Where a person's apps fetch all their devices. Whoever has it can connect as them."""

    user: str
    url: str


@router.get("/peers/{peer_id}/config", response_model=Config, dependencies=READING)
def config(app: Served, peer_id: Identified) -> Any:
    """What a device imports."""
    with app.store.read() as tx:
        views.peer(tx, app, peer_id)
    issued = peers.reveal_id(app, peer_id)
    found = Config(
        user=issued.user.name,
        device=issued.peer.device,
        node=issued.node.name,
        protocol=issued.endpoint.protocol,
        config=configs.config(app, issued).reveal(),
        forms={name: each.reveal() for name, each in configs.forms(app, issued).items()},
    )
    _note(app, "config.read", ("peer", peer_id, f"{found.user}/{found.device}"))
    peers.delivered(app, [peer_id], "api")
    return found


@router.get("/users/{name}/link", response_model=LinkView, dependencies=READING)
def link(app: Served, name: Named) -> Any:
    """Where the person's apps fetch their devices; it is made when it is first asked for."""
    found = link_address.address(app, name)
    _note(app, "link.read", ("user", found.user.id, found.user.name))
    return LinkView(user=found.user.name, url=found.url.reveal())


@router.post("/users/{name}/link/rotate", **changing(UserView))
async def rotate(name: Named, call: Changing) -> JSONResponse:
    """Give the person another link; the one before leads nowhere from now on. Read it with `GET`."""
    return await call.carry_out(
        lambda app: Done(link_address.address(app, name, rotate=True).user, []),
        lambda done: Shown("user", (done.made.id,)),
    )


def _note(app: App, verb: str, subject: events.Subject) -> None:
    """Who reads a secret stands in the audit."""
    with app.store.write() as tx:
        events.record(tx, stamp(app), verb, subject)
