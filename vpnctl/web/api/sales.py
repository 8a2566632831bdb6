"""Plans, access by time, orders and payments."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import Field
from starlette.responses import JSONResponse

from vpnctl.actions.outcome import Concerning, Done
from vpnctl.actions.sales import deciding, orders, subscriptions, trials
from vpnctl.actions.sales import plans as plan_rules
from vpnctl.actions.service.apiruns import Shown
from vpnctl.app import App
from vpnctl.reports import books, tariffs
from vpnctl.reports.books import BookFilter, OrderView, PaymentView
from vpnctl.reports.tariffs import PlanView, SubscriptionFilter, SubscriptionView
from vpnctl.rules.lifecycle import State
from vpnctl.rules.orders import OrderState, PaymentState
from vpnctl.rules.scopes import Scope
from vpnctl.web.access import Served, needs
from vpnctl.web.api.changes import Call, caller
from vpnctl.web.api.shapes import PLAIN, Body, Limit, Name, Named, Numbered, changing

ACCESS = changing(list[SubscriptionView])
ORDER = changing(OrderView)
Changing = Annotated[Call, Depends(caller(Scope.SALES))]
Person = Annotated[str, Query(max_length=36, pattern=PLAIN, description="Only of this person.")]
router = APIRouter(tags=["sales"])
READING = [Depends(needs(Scope.READ))]


class GrantRequest(Body):
    """A period of access, from now or behind what there is."""

    plan: Name


class Extension(Body):
    """A further period behind the last one."""

    plan: Name | None = Field(None, description="Left out: the same plan again.")
    days: int | None = Field(None, ge=1, le=plan_rules.MAX_DAYS, description="Another length.")


class OrderReason(Body):
    """Why an order is given up; people read it."""

    reason: str = Field("", max_length=200)


@router.get("/plans", response_model=list[PlanView], dependencies=READING)
def plans(app: Served) -> Any:
    """The tariffs."""
    with app.store.read() as tx:
        return tariffs.plans(tx, app.clock())


@router.get("/subscriptions", response_model=list[SubscriptionView], dependencies=READING)
def periods(
    app: Served, state: Annotated[tuple[State, ...], Query()] = (), user: Person = "", limit: Limit = 50
) -> Any:
    """Periods of access, those that end first first."""
    with app.store.read() as tx:
        which = SubscriptionFilter(user or None, state)
        return tariffs.subscriptions(tx, app.clock(), _soon(app), which, limit=limit)


@router.get("/orders", response_model=list[OrderView], dependencies=READING)
def ordered(
    app: Served, state: Annotated[tuple[OrderState, ...], Query()] = (), user: Person = "", limit: Limit = 50
) -> Any:
    """Orders, the newest first."""
    with app.store.read() as tx:
        return books.orders(tx, BookFilter(user or None, state), limit=limit)


@router.get("/payments", response_model=list[PaymentView], dependencies=READING)
def paid(
    app: Served, state: Annotated[tuple[PaymentState, ...], Query()] = (), user: Person = "", limit: Limit = 50
) -> Any:
    """Payments, the newest first."""
    with app.store.read() as tx:
        return books.payments(tx, BookFilter(user or None, state), limit=limit)


@router.post("/users/{name}/subscriptions", **ACCESS)
async def grant(name: Named, given: GrantRequest, call: Changing) -> JSONResponse:
    """Grant a plan's days."""
    return await call.carry_out(lambda app: subscriptions.grant(app, name, given.plan), _periods_of(name))


@router.post("/users/{name}/subscriptions/extend", **ACCESS)
async def extend(name: Named, given: Extension, call: Changing) -> JSONResponse:
    """Extend what a person has, or had."""
    return await call.carry_out(
        lambda app: subscriptions.extend(app, name, plan=given.plan, days=given.days), _periods_of(name)
    )


@router.delete("/users/{name}/subscriptions", **ACCESS)
async def cancel(name: Named, call: Changing) -> JSONResponse:
    """End access now, and with it all periods to come."""
    return await call.carry_out(lambda app: subscriptions.cancel(app, name), _periods_of(name))


@router.post("/users/{name}/trial", **ACCESS)
async def trial(name: Named, call: Changing) -> JSONResponse:
    """Start a person's trial, once a person."""
    return await call.carry_out(lambda app: trials.start(app, name), _periods_of(name))


@router.post("/orders/{number}/accept", **ORDER)
async def accept(number: Numbered, call: Changing) -> JSONResponse:
    """Serve an order whose money was seen, or that waits in review."""
    return await call.carry_out(lambda app: deciding.accept(app, number), _order(number))


@router.post("/orders/{number}/reject", **ORDER)
async def reject(number: Numbered, given: OrderReason, call: Changing) -> JSONResponse:
    """Turn a receipt away."""
    return await call.carry_out(lambda app: Done(deciding.reject(app, number, given.reason), []), _order(number))


@router.post("/orders/{number}/cancel", **ORDER)
async def give_up(number: Numbered, given: OrderReason, call: Changing) -> JSONResponse:
    """Give an open order up; money that comes for it all the same is honoured."""
    return await call.carry_out(lambda app: Done(orders.cancel(app, number, given.reason), []), _order(number))


def _periods_of(name: str) -> Callable[[Concerning], Shown]:
    return lambda _done: Shown("subscriptions", (name,))


def _order(number: int) -> Callable[[Concerning], Shown]:
    return lambda _done: Shown("order", (str(number),))


def _soon(app: App) -> timedelta:
    return timedelta(hours=app.settings.expiring_soon_hours)
