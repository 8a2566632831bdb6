"""People: add, change, block, move, remove."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import Field
from starlette.responses import JSONResponse

from vpnctl.actions.outcome import Done
from vpnctl.actions.people import applicants, migration, users
from vpnctl.actions.people.migration import Destination
from vpnctl.actions.service.apiruns import Shown
from vpnctl.app import App
from vpnctl.reports import people
from vpnctl.reports.devices import PeerView
from vpnctl.reports.people import UserFilter, UserView
from vpnctl.rules.scopes import Scope
from vpnctl.store import find
from vpnctl.store.rows import User
from vpnctl.web.access import Served, needs
from vpnctl.web.api import views
from vpnctl.web.api.changes import Call, caller
from vpnctl.web.api.shapes import PLAIN, AfterName, Body, Limit, Name, Named, Page, Protocol, changing, page

PERSON = changing(UserView)
REMOVED = changing(None)
MOVED = changing(list[PeerView])
Changing = Annotated[Call, Depends(caller(Scope.PEOPLE))]
Search = Annotated[
    str, Query(max_length=64, pattern=PLAIN, description="A part of a name, a Telegram id, an order's number.")
]
router = APIRouter(tags=["people"])
READING = [Depends(needs(Scope.READ))]


class PersonChange(Body):
    """Details of a person; what is left out stays."""

    display_name: str = Field("", max_length=64, examples=["Anna Schmidt"])
    telegram_id: int = Field(1, gt=0, le=users.MAX_TELEGRAM_ID, examples=[123456789])
    locale: str = Field("en", pattern="^(en|ru|fa)$")
    device_limit: int = Field(0, ge=0, le=users.MAX_DEVICES, description="0: no limit")
    note: str = Field("", max_length=64)
    unlimited: bool = Field(False, description="Access without a subscription.")


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
        return views.user(tx, app, find.user(tx, name).id)


@router.post("/users", **PERSON)
async def add(given: NewPerson, call: Changing) -> JSONResponse:
    """Add a person, approved."""
    details = given.model_dump(exclude_unset=True, exclude={"name"})
    return await call.carry_out(lambda app: Done(users.add(app, [given.name], **details)[0], []), _shown)


@router.patch("/users/{name}", **PERSON)
async def change(name: Named, given: PersonChange, call: Changing) -> JSONResponse:
    """Change details of a person."""
    details = given.model_dump(exclude_unset=True)
    return await call.carry_out(lambda app: users.change(app, name, details), _shown)


@router.post("/users/{name}/approve", **PERSON)
async def approve(name: Named, call: Changing) -> JSONResponse:
    """Let in a person who waits for approval."""
    return await call.carry_out(lambda app: Done(applicants.approve(app, name), []), _shown)


@router.post("/users/{name}/reject", **PERSON)
async def reject(name: Named, call: Changing) -> JSONResponse:
    """Turn away a person who waits for approval: blocked, so that asking again is of no use."""
    return await call.carry_out(lambda app: Done(applicants.reject(app, name), []), _shown)


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
    return await call.carry_out(lambda app: users.remove(app, name, erase=erase), lambda _done: views.NOTHING)


@router.post("/users/{name}/migrate", **MOVED)
async def migrate(name: Named, given: MoveRequest, call: Changing) -> JSONResponse:
    """Give a person's devices successors on another node; the old ones live until these are used."""

    def verb(app: App) -> Done[list[str]]:
        where = Destination(given.to, protocol=given.protocol)
        moved = migration.start(app, name, where, device=given.device, source=given.source)
        return Done([each.new.peer.id for each in moved], migration.nodes(moved))

    return await call.carry_out(verb, lambda done: Shown("peers", tuple(done.made)))


def _shown(done: Done[User]) -> Shown:
    return Shown("user", (done.made.id,))
