"""Devices: add, regenerate, suspend, revoke."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import Field
from starlette.responses import JSONResponse

from vpnctl.actions.outcome import Done
from vpnctl.actions.people import peers
from vpnctl.actions.people.issue import Issued, Wanted
from vpnctl.actions.people.peers import OwnedPeer
from vpnctl.actions.service.apiruns import Shown
from vpnctl.app import App
from vpnctl.errors import InvalidInput
from vpnctl.reports import devices
from vpnctl.reports.devices import PeerView
from vpnctl.rules.scopes import Scope
from vpnctl.store import models
from vpnctl.web.access import Served, needs
from vpnctl.web.api import views
from vpnctl.web.api.changes import Call, caller
from vpnctl.web.api.shapes import (
    PLAIN,
    AfterMark,
    Body,
    Identified,
    Limit,
    Name,
    Named,
    Page,
    Protocol,
    changing,
    packed,
    page,
    unpacked,
)

DEVICE = changing(PeerView)
Changing = Annotated[Call, Depends(caller(Scope.PEOPLE))]
Word = Annotated[str, Query(max_length=36, pattern=PLAIN)]
router = APIRouter(tags=["devices"])
READING = [Depends(needs(Scope.READ))]


class NewDevice(Body):
    """A device of a person. Where nothing is said, it goes where the service puts a new one."""

    device: Name = "main"
    node: Name | None = None
    protocol: Protocol | None = None
    public_key: str | None = Field(None, max_length=64, description="Of the person's own pair.")


class Renaming(Body):
    """What a device is called from now on."""

    device: Name


class Renewal(Body):
    """How a device gets new keys."""

    overlap: bool = Field(False, description="The old keys live until the new ones are used.")
    public_key: str | None = Field(None, max_length=64)


@router.get("/peers", response_model=Page[PeerView], dependencies=READING)
def listed(  # noqa: PLR0913 - one per filter
    app: Served,
    user: Word = "",
    node: Word = "",
    protocol: Word = "",
    revoked: bool = False,
    limit: Limit = 50,
    after: AfterMark = None,
) -> Any:
    """Devices by person and name."""
    where = [models.user.c.name == user] if user else []
    where += [models.node.c.name == node] if node else []
    where += [models.endpoint.c.protocol == protocol] if protocol else []
    with app.store.read() as tx:
        rows = devices.peers(tx, app.clock(), *where, revoked=revoked, limit=limit + 1, behind=_behind(after))
    return page(rows, limit, lambda row: packed(row.user, row.device, row.created_at.isoformat(), row.id))


@router.get("/peers/{peer_id}", response_model=PeerView, dependencies=READING)
def one(app: Served, peer_id: Identified) -> Any:
    """One device."""
    with app.store.read() as tx:
        return views.peer(tx, app, peer_id)


@router.post("/users/{name}/peers", **DEVICE)
async def add(name: Named, given: NewDevice, call: Changing) -> JSONResponse:
    """Give a person a device. Its config is read with `GET /peers/{id}/config`."""
    wish = Wanted(name, given.device, given.node, given.protocol, given.public_key)
    return await call.carry_out(lambda app: peers.add(app, [wish])[0], _issued)


@router.patch("/peers/{peer_id}", **DEVICE)
async def rename(peer_id: Identified, given: Renaming, call: Changing) -> JSONResponse:
    """Give a device another name."""

    def verb(app: App) -> Done[OwnedPeer]:
        return Done(peers.change(app, _reference(app, peer_id), given.device), [])

    return await call.carry_out(verb, _owned)


@router.post("/peers/{peer_id}/regen", **DEVICE)
async def regen(peer_id: Identified, given: Renewal, call: Changing) -> JSONResponse:
    """Give a device new keys; the old ones end at once, or with `overlap` when the new ones are used."""
    how = given.model_dump()
    return await call.carry_out(lambda app: peers.regen(app, _reference(app, peer_id), **how), _issued)


@router.post("/peers/{peer_id}/suspend", **DEVICE)
async def suspend(peer_id: Identified, call: Changing) -> JSONResponse:
    """Cut a device for now."""
    return await call.carry_out(lambda app: peers.suspend(app, _reference(app, peer_id)), _owned)


@router.post("/peers/{peer_id}/resume", **DEVICE)
async def resume(peer_id: Identified, call: Changing) -> JSONResponse:
    """Let a suspended device in again."""
    return await call.carry_out(lambda app: peers.resume(app, _reference(app, peer_id)), _owned)


@router.delete("/peers/{peer_id}", **DEVICE)
async def revoke(peer_id: Identified, call: Changing) -> JSONResponse:
    """Revoke a device for good; it is settled once its absence was read on its node."""
    return await call.carry_out(lambda app: peers.revoke(app, _reference(app, peer_id)), _owned)


def _issued(done: Issued) -> Shown:
    return Shown("peer", (done.peer.id,))


def _owned(done: Done[OwnedPeer]) -> Shown:
    return Shown("peer", (done.made.peer.id,))


def _reference(app: App, peer_id: str) -> str:
    """Return how the verbs name a device; NotFound for one that is gone."""
    with app.store.read() as tx:
        found = views.peer(tx, app, peer_id)
    return f"{found.user}/{found.device}@{found.node}"


def _behind(after: str | None) -> tuple[str, str, datetime, str] | None:
    if not after:
        return None
    user, device, created, peer_id = unpacked(after, 4)
    try:
        moment = datetime.fromisoformat(created).astimezone(UTC)
    except (ValueError, OverflowError):
        moment = None
    if moment is None or not all(map(str.isprintable, (user, device, peer_id))):
        raise InvalidInput("that is no cursor", "give `next` of the page before, as it was")
    return user, device, moment, peer_id
