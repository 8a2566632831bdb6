"""People: add, change, block, move, remove."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import Field
from starlette.responses import JSONResponse

from vpnctl.actions.outcome import Done
from vpnctl.actions.people import applicants, migration, users
from vpnctl.actions.people.migration import Destination
from vpnctl.app import App
from vpnctl.errors import NotFound
from vpnctl.reports import people
from vpnctl.reports.devices import PeerView
from vpnctl.reports.people import UserFilter, UserView
from vpnctl.rules.grammar import clean
from vpnctl.rules.scopes import Scope
from vpnctl.store import find
from vpnctl.store.engine import Tx
from vpnctl.store.rows import User
from vpnctl.web.access import Served, needs
from vpnctl.web.api import devices
from vpnctl.web.api.changes import Call, caller
from vpnctl.web.api.shapes import AfterName, Body, Limit, Name, Named, Page, Protocol, changing, page

PERSON = changing(UserView)
REMOVED = changing(str)
MOVED = changing(list[PeerView])
Changing = Annotated[Call, Depends(caller(Scope.PEOPLE))]
Search = Annotated[str, Query(max_length=64, description="A part of a name, a Telegram id, an order's number.")]
router = APIRouter(tags=["people"])
READING = [Depends(needs(Scope.READ))]


class PersonChange(Body):
    """Details of a person; what is left out stays."""

    display_name: str | None = Field(None, max_length=64)
    telegram_id: int | None = Field(None, gt=0, le=users.MAX_TELEGRAM_ID)
    locale: Annotated[str | None, Field(pattern="^(en|ru|fa)$")] = None
    device_limit: int | None = Field(None, ge=0, le=users.MAX_DEVICES, description="0: no limit")
    note: str | None = Field(None, max_length=64)
    unlimited: bool | None = Field(None, description="Access without a subscription.")


class NewPerson(PersonChange):
    """A person. Unless told, they are unlimited as long as there are no plans."""

    name: Name


class MoveRequest(Body):
    """Where a person's devices go."""

    to: Name
    source: Name | None = Field(None, description="Only those that are on this node.")
    device: Name | None = None
    protocol: Protocol | None = None


@router.get("/users", response_model=Page[UserView], dependencies=READING)
def listed(app: Served, search: Search = "", waiting: bool = False, limit: Limit = 50, after: AfterName = None) -> Any:
    """People by name; `waiting`: only who waits for approval."""
    which = UserFilter(search=search, unapproved=waiting)
    with app.store.read() as tx:
        rows = people.users(tx, app.clock(), which, limit=limit + 1, after=after or "")
    return page(rows, limit, lambda row: row.name)


@router.get("/users/{name}", response_model=UserView, dependencies=READING)
def one(app: Served, name: Named) -> Any:
    """One person."""
    with app.store.read() as tx:
        return _view(tx, app, find.user(tx, name).name)


@router.post("/users", **PERSON)
async def add(given: NewPerson, call: Changing) -> JSONResponse:
    """Add a person, approved."""
    details = given.model_dump(exclude_none=True, exclude={"name"})
    return await call.carry_out(lambda app: Done(users.add(app, [given.name], **details)[0], []), _shown)


@router.patch("/users/{name}", **PERSON)
async def change(name: Named, given: PersonChange, call: Changing) -> JSONResponse:
    """Changing details of a person."""
    details = given.model_dump(exclude_none=True)
    return await call.carry_out(lambda app: users.change(app, name, details), _shown)


@router.post("/users/{name}/approve", **PERSON)
async def approve(name: Named, call: Changing) -> JSONResponse:
    """Let in a person who waits for approval."""
    return await call.carry_out(lambda app: Done(applicants.approve(app, name), []), _shown)


@router.post("/users/{name}/block", **PERSON)
async def block(name: Named, call: Changing) -> JSONResponse:
    """Cut all devices of a person until `unblock`."""
    return await call.carry_out(lambda app: users.block(app, name), _shown)


@router.post("/users/{name}/unblock", **PERSON)
async def unblock(name: Named, call: Changing) -> JSONResponse:
    """Let a blocked person in again."""
    return await call.carry_out(lambda app: users.unblock(app, name), _shown)


@router.delete("/users/{name}", **REMOVED)
async def remove(name: Named, call: Changing, erase: bool = False) -> JSONResponse:
    """Remove a person and revoke all their devices; with `erase` their data goes too."""
    return await call.carry_out(lambda app: users.remove(app, name, erase=erase), lambda _tx, _app, _done: name)


@router.post("/users/{name}/migrate", **MOVED)
async def migrate(name: Named, given: MoveRequest, call: Changing) -> JSONResponse:
    """Give a person's devices successors on another node; the old ones live until these are used."""

    def verb(app: App) -> Done[list[str]]:
        where = Destination(given.to, protocol=given.protocol)
        moved = migration.start(app, name, where, device=given.device, source=given.source)
        return Done([each.new.peer.id for each in moved], migration.nodes(moved))

    return await call.carry_out(verb, lambda tx, app, done: [devices.view(tx, app, each) for each in done.made])


def _shown(tx: Tx, app: App, done: Done[User]) -> UserView:
    return _view(tx, app, done.made.name)


def _view(tx: Tx, app: App, name: str) -> UserView:
    found = people.users(tx, app.clock(), UserFilter(name=name))
    if not found:
        raise NotFound(f"there is no user {clean(name)}")
    return found[0]
