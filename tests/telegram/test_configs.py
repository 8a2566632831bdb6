"""Configs leave once, when they work, and to those who may have them."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from tests import fakenode
from tests.support.xray_core import XrayPart
from tests.telegram.conftest import make_bot
from tests.telegram.phone import connect, notices
from tests.telegram.test_journeys import devices, offer
from vpnctl import jobs
from vpnctl.actions.fleet import endpoints
from vpnctl.actions.fleet.settle import Wish, settle
from vpnctl.actions.sales import subscriptions
from vpnctl.actions.talk import delivery
from vpnctl.rules.changes import SYSTEM
from vpnctl.store import models
from vpnctl.store.rows import Peer


def test_a_lockdown_stops_a_config_that_was_chosen_already(inside, ivan, monkeypatch):
    from vpnctl.actions.talk import lockdown

    inside.say(ivan, "/get_config")
    ivan.press("Phone")
    inside.fetch()
    inside.handle()
    with inside.app.store.read() as tx:
        node_ids = [row.id for row in tx.execute(models.node.select())]
    inside.nodes |= set(node_ids)
    real = delivery._waiting

    def locked_after_the_choice(tx, now, only=""):
        found = real(tx, now, only)
        if found and not only and not lockdown.current(tx, now):
            threading.Thread(target=lockdown.lock, args=(inside.app,)).start()
            import time

            time.sleep(0.3)
        return found

    monkeypatch.setattr(delivery, "_waiting", locked_after_the_choice)
    inside.care()
    assert ivan.files("document") == []


@pytest.fixture
def cores(monkeypatch):
    monkeypatch.setitem(fakenode.PARTS, "xray", XrayPart)


def test_a_link_stands_under_its_picture_to_be_copied_by_a_tap_and_a_file_does_not(cores, inside, ivan, api):
    endpoints.add(inside.app, "fi", "xray", {})
    assert settle(inside.app, [inside.node.id], Wish(scope=SYSTEM, always=True))[0].code == 0
    connect(inside, ivan)
    inside.press(ivan, "Xray")
    sent = [call for call in api.calls if call.method == "sendPhoto"][-1]
    link = next(iter(ivan.files("document")))[1].decode().strip()
    assert link.startswith("vless://")
    assert sent.params["caption"].endswith(f"paste it into the app:\n{link}")
    (entity,) = sent.params["caption_entities"]
    whole = sent.params["caption"].encode("utf-16-le")
    start, end = 2 * entity["offset"], 2 * (entity["offset"] + entity["length"])
    assert (entity["type"], whole[start:end].decode("utf-16-le")) == ("code", link)
    connect(inside, ivan, "💻")
    inside.press(ivan, "WireGuard")
    sent = [call for call in api.calls if call.method == "sendPhoto"][-1]
    assert "PrivateKey" not in sent.params["caption"]
    assert "caption_entities" not in sent.params


def test_a_key_that_is_not_to_be_kept_is_forgotten_also_when_the_picture_was_refused(shop, api, serve, ivan, admin):
    serve("fi")
    bot = make_bot(replace(shop, settings=replace(shop.settings, client_secrets="discard")), api)
    bot.join(ivan, admin)
    api.fail("sendPhoto", 400, {"ok": False, "error_code": 400, "description": "Bad Request: PHOTO_INVALID"})
    connect(bot, ivan)
    assert len(ivan.files("document")) == 1
    with shop.store.read() as tx:
        assert tx.one(Peer).secret_sealed is None


def test_a_config_that_never_becomes_ready_ends_after_a_month(inside, ivan, clock):
    inside.node.fake.down = True
    inside.say(ivan, "/get_config")
    inside.press(ivan, "Phone")
    clock.forward(days=31)
    inside.care()
    assert {row.error for row in notices(inside.app, kind="config_file")} == {"too late to be of use"}


def test_a_device_that_is_not_cut_yet_is_said_to_be_being_cut(inside, ivan, clock):
    connect(inside, ivan)
    inside.node.fake.down = True
    with inside.app.store.write() as tx:
        tx.update(Peer, suspended_at=clock(), present_at=None, absent_at=None)
    clock.forward(seconds=20)
    assert "phone, fi: being cut" in inside.say(ivan, "/status")


def test_two_phones_asked_for_while_both_wait_are_two(shop, api, serve, ivan, admin):
    serve("fi")
    bot = make_bot(replace(shop, settings=replace(shop.settings, approve_configs=True)), api)
    bot.join(ivan, admin)
    for _ in range(2):
        connect(bot, ivan)
    for _ in range(2):
        bot.press(
            admin,
            "Grant",
            message=next(each for each in reversed(admin.messages) if "asks for" in each.text and each.rows),
        )
    assert sorted(each.device for each in devices(shop)) == ["phone", "phone-2"]


def test_moving_to_and_fro_leaves_two_generations_of_a_device_and_the_one_in_use_lives(bot, serve, ivan, admin, clock):
    offer(bot.app, "plans:\n  - {name: month, days: 30, devices: 1}\n")
    nodes = {name: serve(name) for name in ("fi", "de", "nl")}
    bot.join(ivan, admin)
    subscriptions.grant(bot.app, "tg501", "month")
    connect(bot, ivan)
    first = devices(bot.app)[0]
    for target in ("de", "nl", "fi", "de", "nl"):
        clock.forward(minutes=20)
        bot.say(ivan, "/server")
        if not any(label.startswith("📍 ") and target in label for label in ivan.last.labels()):
            bot.press(ivan, target)
            bot.press(ivan, "✅ Move")
    assert sum(len(each.fake.live_keys()) for each in nodes.values()) == 2
    assert first.public_key in nodes[first.node].fake.live_keys(), "no later one was used"
    with bot.app.store.read() as tx:
        (old,) = tx.all(Peer, models.peer.c.retiring_at.is_not(None), models.peer.c.revoked_at.is_(None))
        (new,) = tx.all(Peer, models.peer.c.retiring_at.is_(None), models.peer.c.revoked_at.is_(None))
    assert (old.identity, new.replaces_id) == (first.public_key, old.id)
    node = next(each for each in nodes.values() if new.identity in each.fake.live_keys())
    node.fake.links["wg0"].peers[new.identity][2] = str(int(clock().timestamp()))
    jobs.run(bot.app, "usage")
    jobs.run(bot.app, "sync")
    assert sum(len(each.fake.live_keys()) for each in nodes.values()) == 1


def test_a_move_after_the_new_one_was_used_ends_what_is_older(bot, serve, ivan, admin, clock):
    nodes = {name: serve(name) for name in ("fi", "de", "nl")}
    bot.join(ivan, admin)
    connect(bot, ivan)
    seen = []
    for _ in range(2):
        clock.forward(minutes=20)
        bot.say(ivan, "/server")
        bot.press(ivan, next(label for label in ivan.last.labels() if label in nodes and label not in seen))
        bot.press(ivan, "✅ Move")
        with bot.app.store.write() as tx:
            tx.update(
                Peer, models.peer.c.retiring_at.is_(None), models.peer.c.revoked_at.is_(None), handshake_at=clock()
            )
        seen.append(devices(bot.app)[-1].node)
    assert sum(len(each.fake.live_keys()) for each in nodes.values()) == 2


def test_a_suspended_device_is_said_to_be_suspended(inside, ivan, cli, clock):
    connect(inside, ivan)
    clock.forward(seconds=20)
    assert cli("peer", "suspend", "tg501/phone").code == 0
    inside.say(ivan, "/get_config")
    assert "phone is suspended" in inside.press(ivan, "phone · fi")


def test_a_config_is_not_sent_after_access_has_ended(inside, ivan, clock):
    offer(inside.app)
    subscriptions.grant(inside.app, "tg501", "month")
    inside.say(ivan, "/get_config")
    ivan.press("📱")
    inside.fetch()
    inside.handle()
    from vpnctl.actions.fleet.settle import settle

    settle(inside.app, inside.nodes)
    clock.forward(days=30, minutes=6)
    delivery.deliver(inside.app)
    assert ivan.files("document") == []
