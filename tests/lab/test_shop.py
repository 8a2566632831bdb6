"""Buying with real servers: the bot as a process, providers on loopback, and the packets that the money bought."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.lab.network import FAR_V4
from tests.lab.selling import GIVES_BACK, PLANS, WAYS, Shop, env, on_a_page
from tests.support import till as tills
from tests.support.till import Till
from tests.telegram import oracle
from tests.telegram.server import PROVIDER, TOKEN, BotApi, Person


@pytest.fixture
def shop(served, tmp_path):
    api, till = BotApi(check=oracle.check), Till()
    served.more |= env(api, till)
    (tmp_path / "plans.yaml").write_text(PLANS)
    served("inventory", "apply", str(tmp_path / "plans.yaml"), "--yes")
    process = served.start("bot", "run")
    yield Shop(served, api, till)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    till.close()
    api.close()
    assert process.returncode == 0, err
    assert api.problems == []
    assert [each for each in ("Traceback", TOKEN, PROVIDER, *tills.KEYS) if each in err] == []


def buys(shop: Shop, client: Any, number: int, name: str) -> Person:
    """Pay by one provider, and connect with what came; who did not pay has nothing."""
    method, pay = WAYS[name]
    buyer = shop.api.person(600 + number, name.title(), username=name)
    order = shop.order(buyer, method)
    assert (order["provider"], order["state"]) == (name, "awaiting")
    assert buyer.files("document") == []
    pay(shop, buyer, order)
    buyer.wait("Paid", 90)
    buyer.press("Connect a device")
    buyer.wait("What is it?", 30)
    buyer.press("Phone")
    buyer.wait("Import it in the app", 90)
    client.connect(buyer.files("document")[0][1].decode())
    assert client.ping(FAR_V4, 20), f"{name}: what was paid for carries packets"
    return buyer


def test_whoever_pays_connects_by_any_provider_and_money_that_goes_back_ends_it(shop, lab):
    """All of them side by side, as in life."""
    for number, name in enumerate(WAYS):
        shop.operator("user", "add", name, "--telegram-id", str(600 + number))
    clients = {name: lab.client() for name in WAYS}
    with ThreadPoolExecutor(3) as pool:
        jobs = [pool.submit(buys, shop, clients[name], number, name) for number, name in enumerate(WAYS)]
        buyers = dict(zip(WAYS, [job.result() for job in jobs], strict=True))
    paid = shop.operator("payment", "list", "--json").json
    assert sorted((each["provider"], each["state"]) for each in paid) == sorted((name, "booked") for name in WAYS)
    shop.operator("jobs", "run", "payments")
    states = {each["provider"]: each["state"] for each in shop.operator("order", "list", "--json").json}
    assert states == dict.fromkeys(WAYS, "fulfilled")
    for name in GIVES_BACK:
        payment = next(each["id"] for each in paid if each["provider"] == name)
        shop.operator("payment", "refund", payment, "--yes")
    for name in GIVES_BACK:
        buyers[name].wait("given back", 60)
        assert clients[name].silent(FAR_V4), f"{name}: the money went back, and so did the access"
    for name in set(WAYS) - set(GIVES_BACK):
        assert clients[name].ping(FAR_V4), f"{name}: nobody else felt it"
    for client in clients.values():
        client.disconnect()


def test_money_that_comes_while_the_node_is_down_opens_it_at_the_first_sync_after_its_return(shop, lab, fi):
    shop.operator("node", "retire", "de", "--yes")
    shop.operator("user", "add", "late", "--telegram-id", "650", "--unlimited")
    phone, buyer = lab.client(), shop.api.person(650, "Late", username="late")
    phone.connect(shop.operator("peer", "add", "late/phone").out)
    shop.operator("user", "set", "late", "--limited")
    assert phone.silent(FAR_V4), "nothing was paid"
    order = shop.order(buyer, "YooKassa")
    fi.cut()
    on_a_page(shop, buyer, order)
    buyer.wait("Paid", 90)
    assert shop.operator("order", "show", str(order["number"]), "--json").json["state"] == "paid"
    fi.plug()
    shop.operator("jobs", "run", "sync")
    assert phone.ping(FAR_V4, 20), "the file that they had is good now"
    shop.operator("jobs", "run", "payments")
    assert shop.operator("order", "show", str(order["number"]), "--json").json["state"] == "fulfilled"
    phone.disconnect()
