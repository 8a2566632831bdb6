"""Webhooks over HTTP: kept before they are answered, forged ones refused, repeated ones kept once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.sales.conftest import botapi, desk, filled, till  # noqa: F401 - fixtures
from tests.sales.test_callbacks import stripe
from tests.support.storm import yookassa
from tests.support.website import serving
from vpnctl.errors import Busy
from vpnctl.rules.secret import Secret
from vpnctl.store.buying_rows import WebhookEvent
from vpnctl.web import webhooks


@pytest.fixture
def books(app):
    return app


@pytest.fixture
def shop(desk):  # noqa: F811
    with serving(desk.app) as site:
        yield site


def test_a_payment_that_a_provider_tells_of_is_kept_then_booked(shop, desk):  # noqa: F811
    order = desk.place("yookassa")
    desk.till.pay(order.id)
    answer = shop.client.post("/payments/yookassa", content=yookassa(order))
    assert (answer.status_code, answer.content) == (200, b"")
    assert len(desk.all(WebhookEvent)) == 1
    desk.round()
    assert len(desk.periods()) == 1


def test_a_forged_one_is_refused_and_kept_nowhere(shop, desk, problem):  # noqa: F811
    headers, body = stripe(desk.place("stripe"), "whsec_somebodyelse")
    problem(shop.client.post("/payments/stripe", headers=headers, content=body), 403)
    problem(shop.client.post("/payments/stripe", content=body), 403)
    assert desk.all(WebhookEvent) == []


def test_fifty_at_once_are_kept_once(shop, desk):  # noqa: F811
    body = yookassa(desk.place("yookassa"))
    with ThreadPoolExecutor(16) as pool:
        answers = list(
            pool.map(lambda _: httpx.post(f"{shop.url}/payments/yookassa", content=body, timeout=30), range(50))
        )
    assert {each.status_code for each in answers} == {200}
    assert len(desk.all(WebhookEvent)) == 1


def test_what_cannot_be_kept_is_not_answered_with_200(shop, desk, problem, monkeypatch):  # noqa: F811
    order = desk.place("yookassa")

    def locked(*_args, **_more):
        raise Busy("the database is locked", "try again")

    monkeypatch.setattr("vpnctl.actions.sales.callbacks.receive", locked)
    answer = shop.client.post("/payments/yookassa", content=yookassa(order))
    problem(answer, 503)
    assert answer.headers["retry-after"]


@pytest.mark.parametrize("name", ["stripe", "yookassa", "nobody", "manual", "..", "%2e%2e"])
def test_a_provider_that_is_not_set_up_takes_nothing(site, name):
    answer = site.client.post(f"/payments/{name}", content=b"{}")
    assert answer.status_code in (400, 404)


def test_what_is_no_event_is_refused(shop, problem):
    for body in (b"", b"[]", b"{", b"\xff\xfe", b'{"object": 1}'):
        problem(shop.client.post("/payments/yookassa", content=body), 400)


def test_of_a_provider_that_signs_nothing_only_our_own_orders_are_kept(shop, desk):  # noqa: F811
    order = desk.place("yookassa")
    body = yookassa(order).replace(order.external_id.encode(), b"2" * len(order.external_id))
    for _ in range(20):
        assert shop.client.post("/payments/yookassa", content=body + b" " * 1000).status_code == 200
    assert desk.all(WebhookEvent) == []
    shop.client.post("/payments/yookassa", content=yookassa(order) + b" " * 60000)
    assert [each.body for each in desk.all(WebhookEvent)] == [None]


class Kept:
    """Takes updates."""

    def __init__(self):
        self.secret = Secret("right-secret")
        self.raw = []

    def receive(self, raw):
        self.raw += raw


def test_an_update_is_taken_with_the_secret_alone(app, problem):
    kept = Kept()
    with serving(app, kept) as site:
        for header in (
            {},
            {webhooks.SECRET_HEADER: "wrong"},
            {webhooks.SECRET_HEADER: "right-secret "[:-2]},
            {webhooks.SECRET_HEADER: b"r\xe9"},
        ):
            problem(site.client.post("/telegram", json={"update_id": 1}, headers=header), 403)
        shown = {webhooks.SECRET_HEADER: "right-secret"}
        assert site.client.post("/telegram", json={"update_id": 1}, headers=shown).status_code == 200
        problem(site.client.post("/telegram", content=b"{" * 10000, headers=shown), 400)
    assert kept.raw == [{"update_id": 1}]


def test_without_a_bot_there_is_no_such_address(site, problem):
    problem(site.client.post("/telegram", json={}), 404)
