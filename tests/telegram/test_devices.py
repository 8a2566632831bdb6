"""A person's devices one by one: what can be done with each, another name, taking one away; and room for a new one."""

from __future__ import annotations

import pytest

from tests.telegram.phone import connect
from vpnctl.actions.people import users
from vpnctl.store import models
from vpnctl.store.rows import Peer
from vpnctl.store.talk_rows import Button, Prompt


def peers(app):
    with app.store.read() as tx:
        return tx.all(Peer, models.peer.c.revoked_at.is_(None))


@pytest.fixture
def owned(inside, ivan, clock):
    """Ivan has a phone."""
    connect(inside, ivan)
    inside.clock = clock
    return inside


def card(bot, ivan):
    bot.clock.forward(seconds=30)  # nobody is silenced for tapping too fast
    bot.say(ivan, "/status")
    return bot.press(ivan, "phone")


def test_each_device_has_a_card_with_what_can_be_done(owned, ivan):
    assert "phone" in card(owned, ivan)
    labels = " ".join(ivan.last.labels())
    assert all(each in labels for each in ("Config", "Server", "New keys", "Rename", "Remove"))


def test_a_device_gets_the_name_that_is_written_next(owned, ivan):
    card(owned, ivan)
    owned.press(ivan, "Rename")
    assert "mum-phone" in owned.say(ivan, "Mum Phone")
    assert [each.device for each in peers(owned.app)] == ["mum-phone"]
    assert owned.node.fake.people(), "it goes on working"


@pytest.mark.parametrize("name", ["телефон", "a" * 60, "../x", "-"])
def test_a_name_that_is_none_is_asked_for_again(owned, ivan, name):
    card(owned, ivan)
    owned.press(ivan, "Rename")
    assert "Latin letters" in owned.say(ivan, name)
    assert "better" in owned.say(ivan, "better")
    assert [each.device for each in peers(owned.app)] == ["better"]


def test_who_does_something_else_is_not_asked_for_a_name_any_more(owned, ivan, clock):
    card(owned, ivan)
    owned.press(ivan, "Rename")
    owned.say(ivan, "/status")
    owned.say(ivan, "hello")
    assert [each.device for each in peers(owned.app)] == ["phone"]
    card(owned, ivan)
    owned.press(ivan, "Rename")
    clock.forward(minutes=20)
    owned.say(ivan, "late")
    assert [each.device for each in peers(owned.app)] == ["phone"]
    with owned.app.store.read() as tx:
        assert tx.all(Prompt) == []


def test_a_name_that_is_taken_is_said_to_be_and_another_one_asked_for(owned, ivan):
    connect(owned, ivan, "Laptop")
    card(owned, ivan)
    owned.press(ivan, "Rename")
    assert "taken" in owned.say(ivan, "laptop")
    owned.say(ivan, "mum-phone")
    assert sorted(each.device for each in peers(owned.app)) == ["laptop", "mum-phone"]


def test_a_picture_is_something_else_than_a_name(owned, ivan):
    card(owned, ivan)
    owned.press(ivan, "Rename")
    owned.say(ivan, "", photo=[{"file_id": "A1", "file_unique_id": "u1"}])
    owned.say(ivan, "4711-2233-99")
    assert [each.device for each in peers(owned.app)] == ["phone"]


def test_the_old_tunnel_is_called_as_its_file_was(owned, ivan):
    card(owned, ivan)
    owned.press(ivan, "Rename")
    owned.say(ivan, "abc")
    owned.say(ivan, "/regen")
    owned.press(ivan, "abc")
    owned.press(ivan, "New keys now")
    assert any("First delete the old tunnel tg501-phone in the app" in each.text for each in ivan.messages)


def test_a_device_that_is_removed_is_cut_and_makes_room(owned, ivan):
    users.change(owned.app, "tg501", {"device_limit": 1})
    owned.say(ivan, "/get_config")
    assert "1 of 1" in owned.press(ivan, "New device"), "said before anything is chosen"
    owned.press(ivan, "Devices")
    owned.press(ivan, "phone")
    owned.press(ivan, "Remove")
    owned.clock.forward(seconds=30)
    owned.press(ivan, "Remove now")
    assert peers(owned.app) == []
    assert owned.node.fake.people() == []
    assert "What is it?" in owned.press(ivan, "New device")


@pytest.mark.parametrize("how", ["the button of another", "a button of their own"])
def test_nobody_reaches_the_devices_of_others(owned, api, ivan, admin, how):
    olga = api.person(777, "Olga")
    owned.join(olga, admin)
    card(owned, ivan)
    owned.press(ivan, "Remove")
    token = next(button["callback_data"] for row in ivan.last.rows for button in row if "now" in button["text"])
    if how == "a button of their own":
        with owned.app.store.write() as tx:
            tx.update(Button, models.button.c.id == token, owner=olga.number)
    olga.tap(token)
    owned.pump()
    assert [each.device for each in peers(owned.app)] == ["phone"]


@pytest.mark.parametrize("then", ["Remove", "New keys"])
def test_another_name_during_a_move_leaves_no_key_behind(owned, ivan, serve, then):
    """The old peer lives on until the new one is used: it is the same device, under every name."""
    other = serve("de")
    card(owned, ivan)
    owned.press(ivan, "Server")
    owned.press(ivan, "de")
    owned.press(ivan, "Move")
    assert len(peers(owned.app)) == 2
    card(owned, ivan)
    owned.press(ivan, "Rename")
    owned.say(ivan, "aaa")
    assert {each.device for each in peers(owned.app)} == {"aaa"}
    owned.clock.forward(seconds=30)
    owned.say(ivan, "/status")
    owned.press(ivan, "aaa")
    owned.press(ivan, then)
    owned.press(ivan, f"{then} now")
    assert owned.node.fake.people() == [], "the old key is cut"
    assert len(other.fake.people()) == (then == "New keys")
