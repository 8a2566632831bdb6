"""What providers call us with: forged, repeated, out of order, too early, never; and a storm of it with crashes."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from tests.support import stripe_mock
from tests.support.storm import Killed, dying, storm, yookassa
from tests.support.till import STRIPE_HOOK
from vpnctl.actions.people import users
from vpnctl.actions.sales import callbacks, checkout, orders
from vpnctl.errors import InvalidInput
from vpnctl.payments import provider
from vpnctl.payments.interface import Bill, Forged
from vpnctl.rules.exchange import HttpAnswer
from vpnctl.rules.orders import OrderState
from vpnctl.rules.secret import Secret
from vpnctl.store import find, models
from vpnctl.store.buying_rows import Order, WebhookEvent


def stripe(order, secret=STRIPE_HOOK, at=None):
    body = json.dumps(
        {"id": f"evt_{order.number}", "object": "event", "type": "checkout.session.completed"}
        | {"data": {"object": {"id": order.external_id, "object": "checkout.session"}}}
    ).encode()
    stamp = int(at or time.time())
    sign = hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    return {"Stripe-Signature": f"t={stamp},v1={sign}"}, body


def test_a_webhook_is_kept_once_and_what_it_says_is_asked_for(desk):
    order = desk.place("yookassa")
    assert callbacks.receive(desk.app, "yookassa", {}, yookassa(order)) is True
    assert callbacks.receive(desk.app, "yookassa", {}, yookassa(order)) is False
    desk.round()
    assert desk.periods() == [], "it says that it was paid, and it was not"
    desk.till.pay(order.id)
    callbacks.receive(desk.app, "yookassa", {}, yookassa(order, "payment.waiting_for_capture"))
    desk.round()
    assert len(desk.periods()) == 1
    assert all(each.body is None and each.handled_at for each in desk.all(WebhookEvent))


@pytest.mark.parametrize("name", ["stripe", "cryptomus"])
def test_a_forged_signature_is_refused_and_kept_nowhere(desk, name):
    order = desk.place(name)
    if name == "stripe":
        headers, body = stripe(order, "whsec_somebodyelse")
    else:
        headers, body = {}, desk.till.cryptomus_event(desk.till.of(order.id), "another-key-entirely")
    with pytest.raises(Forged):
        callbacks.receive(desk.app, name, headers, body)
    assert desk.all(WebhookEvent) == []


@pytest.mark.parametrize("name", ["stripe", "cryptomus"])
def test_a_signed_webhook_serves_at_once(desk, name):
    order = desk.place(name)
    desk.till.pay(order.id)
    sold = desk.till.of(order.id)
    headers, body = stripe(order) if name == "stripe" else ({}, desk.till.cryptomus_event(sold))
    callbacks.receive(desk.app, name, headers, body)
    desk.round()
    assert len(desk.periods()) == 1


def test_an_old_signature_of_stripe_is_refused(desk):
    headers, body = stripe(desk.place("stripe"), at=time.time() - 600)
    with pytest.raises(Forged):
        callbacks.receive(desk.app, "stripe", headers, body)


def test_without_a_signing_secret_nothing_of_stripe_is_believed(desk):
    headers, body = stripe(desk.place("stripe"))
    known = replace(desk.app.settings, stripe_webhook_key=Secret(""))
    with pytest.raises(Forged):
        callbacks.receive(replace(desk.app, settings=known), "stripe", headers, body)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"event": 1}', b"x" * 70_000, b'{"object": {"id": ""}}'])
def test_what_is_no_event_is_refused(desk, body):
    with pytest.raises(InvalidInput):
        callbacks.receive(desk.app, "yookassa", {}, body)


def test_a_webhook_that_comes_before_we_know_of_its_checkout_is_served_all_the_same(desk, clock):
    with desk.app.store.read() as tx:
        ann = find.user(tx, "ann")
    order = orders.place(desk.app, ann, "month", "RUB", "yookassa")
    with desk.app.store.read() as tx:
        made = provider("yookassa", desk.app.settings).open(checkout.bill(desk.app, tx, order), desk.app.exchange)
    desk.till.pay(order.id)
    callbacks.receive(desk.app, "yookassa", {}, yookassa(replace(order, external_id=made.external_id)))
    callbacks.work(desk.app)
    assert len(desk.periods()) == 1
    desk.round()
    assert desk.order(order).state == OrderState.FULFILLED


def test_many_who_hear_of_one_payment_at_once_book_it_once(desk):
    """Workers on several machines, and the bot, are told of the same event."""
    order = desk.place("yookassa")
    desk.till.pay(order.id)
    callbacks.receive(desk.app, "yookassa", {}, yookassa(order))
    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(part, desk.app) for part in (callbacks.work, checkout.work) * 4]
        troubles = [line for job in jobs for line in job.result().troubles]
    assert troubles == []
    assert (len(desk.payments()), len(desk.periods()), len(desk.told("paid"))) == (1, 1, 1)
    assert desk.order(order).state in (OrderState.PAID, OrderState.FULFILLED)


def test_a_storm_of_deliveries_with_crashes_loses_nothing_and_doubles_nothing(desk, clock):
    """2,000 deliveries, a fifth of them repeated, one in twenty killed at a statement of its own."""
    found = storm(desk.app, desk.till, 400)
    assert found.killed > 20, "a storm that kills nobody shows nothing"
    assert found.booked == found.paid
    assert (found.bought, found.states) == (len(found.paid), {"booked"})


@pytest.mark.parametrize("provider_name", ["yookassa", "cryptomus", "stripe", "zarinpal", "stars"])
def test_killed_at_every_statement_of_a_purchase_the_end_is_the_same(desk, provider_name, clock):
    currency = {"stars": "XTR"}.get(provider_name, "")
    for statement in range(1, 400):
        user = f"p{statement}"
        users.add(desk.app, [user])
        order = desk.place(provider_name, user=user, currency=currency)
        if provider_name == "stars":
            from tests.telegram.server import Person

            Person(desk.botapi, 900, {"id": 900, "is_bot": False, "first_name": "P"}).pay_now(order.url, tell=False)
        else:
            desk.till.pay(order.id)
        try:
            with dying(desk.app, statement):
                desk.ask(order)
            over = True
        except Killed:
            over = False
        clock.forward(seconds=30)
        desk.ask(order)
        with desk.app.store.read() as tx:
            mine = tx.all(Order, models.order.c.id == order.id)
            got = tx.execute(models.payment.select().where(models.payment.c.order_id == order.id)).all()
            owner = find.user(tx, user)
            periods = tx.execute(models.subscription.select().where(models.subscription.c.user_id == owner.id)).all()
        assert (len(got), len(periods), mine[0].state) == (1, 1, OrderState.FULFILLED), statement
        if over:
            break
    else:
        pytest.fail("it never went through")
    assert statement > 10


@pytest.fixture(scope="module")
def mock():
    if shutil.which("go") is None and not os.environ.get("TEST_COMPLETE"):
        pytest.skip("there is no Go on this machine to build stripe-mock with")
    with stripe_mock.running() as url:
        yield url


def test_every_request_to_stripe_is_one_that_stripe_knows(desk, mock, clock):
    """Stripe's mock answers 4xx to parameters that its API description does not have."""
    known = replace(desk.app.settings, stripe_api_url=mock, stripe_key=Secret("sk_test_123"))
    taker, seen = provider("stripe", known), []

    def exchange(call):
        answer = desk.app.exchange(call)
        seen.append((call.method, answer.status))
        return answer

    ends = clock()
    bill = Bill("6b1f", 7, 499, "EUR", "One month", ends, ends, "https://t.me/shop", "cs_test_1")
    made = taker.open(bill, exchange)
    assert made.external_id.startswith("cs_")
    taker.look(bill, exchange)
    taker.listed(ends, exchange)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vpnctl.payments.stripe.ProviderRefused", AssertionError)
        taker.refund(bill, "cs_test_1", _with_intent(exchange))
    assert {status for _, status in seen} == {200}
    assert len(seen) >= 5


def _with_intent(exchange):
    """The mock's session has no payment behind it: it is given one, so that the refund is asked for."""

    def through(call):
        answer = exchange(call)
        if call.method == "GET":
            said = json.loads(answer.body) | {"payment_intent": "pi_1"}
            return HttpAnswer(answer.status, json.dumps(said).encode(), answer.headers)
        return answer

    return through


@pytest.mark.parametrize("about", ["../refunds?x", "a b", "a/../../v3/me", "x" * 65])
def test_an_outsider_cannot_choose_what_is_asked_with_our_key(desk, about):
    body = json.dumps({"event": "payment.succeeded", "object": {"id": about}}).encode()
    with pytest.raises(InvalidInput):
        callbacks.receive(desk.app, "yookassa", {}, body)


def test_a_signature_in_other_letters_is_a_forged_one(desk):
    with pytest.raises(Forged):
        callbacks.receive(desk.app, "cryptomus", {}, json.dumps({"uuid": "u", "sign": "подпись"}).encode())


def test_a_browser_that_comes_back_to_zarinpal_twice_is_two_events(desk):
    taker = provider("zarinpal", desk.app.settings)
    said = [taker.heard({}, f"Authority=A1&Status={each}".encode()).event_id for each in ("NOK", "OK")]
    assert said == ["A1 NOK", "A1 OK"]


@pytest.mark.parametrize("name", ["stars", "telegram", "manual"])
def test_who_calls_nobody_has_no_webhooks(desk, name):
    with pytest.raises(InvalidInput):
        callbacks.receive(desk.app, name, {}, b"{}")
