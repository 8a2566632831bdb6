"""SEC-01 to SEC-14: what strangers, users and stolen accounts try. None gives access, a traceback or a hung bot."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.handlers import people as people_handlers
from bot.incoming import read
from bot.routes import BUTTONS, COMMANDS, For
from bot.screen import LONGEST, fitted
from tests.telegram.conftest import ADMIN, make_bot, right_picture
from tests.telegram.server import NAME, TOKEN
from tests.telegram.test_journeys import devices, offer
from vpnctl.actions.people import users
from vpnctl.actions.sales import subscriptions
from vpnctl.actions.talk import updates
from vpnctl.store import models
from vpnctl.store.rows import Peer, User
from vpnctl.store.talk_rows import Button, Received


def everybody(app):
    with app.store.read() as tx:
        return tx.all(User)


@pytest.fixture
def inside(bot, serve, ivan, admin):
    """Ivan is let in, with a phone on a node."""
    bot.node = serve("fi")
    bot.join(ivan, admin)
    bot.say(ivan, "/get_config")
    bot.press(ivan, "Phone")
    return bot


@pytest.fixture
def mallory(api):
    return api.person(666, "Mallory")


# SEC-01


def test_another_users_button_does_nothing(inside, ivan, mallory, admin, api):
    inside.join(mallory, admin)
    inside.say(ivan, "/regen")
    inside.press(ivan, "phone")
    token = ivan.last.rows[0][0]["callback_data"]
    before = devices(inside.app)
    key = mallory.tap(token)
    inside.pump()
    assert devices(inside.app) == before
    assert "text" not in api.answers[key]
    inside.press(ivan, "New keys now")
    assert devices(inside.app) != before, "the owner can still use it"


def test_an_admins_button_pressed_by_somebody_else_lets_nobody_in(bot, ivan, mallory, admin):
    bot.say(ivan, "/start")
    bot.press(ivan, right_picture(bot.app, ivan))
    token = admin.last.rows[0][0]["callback_data"]
    mallory.tap(token)
    ivan.tap(token)
    bot.pump()
    assert everybody(bot.app)[0].approved_at is None


# SEC-02


@pytest.mark.parametrize(
    "token", ["x", "A" * 64, "A" * 65, "", "🙂", "../../etc/passwd", "approve", "\x00", "' OR 1=1 --"]
)
def test_made_up_buttons_do_nothing(inside, ivan, token):
    before = (devices(inside.app), everybody(inside.app))
    ivan.tap(token)
    inside.pump()
    assert (devices(inside.app), everybody(inside.app)) == before
    assert inside.log == []


def test_a_double_tap_acts_once(inside, ivan, api):
    inside.say(ivan, "/get_config")
    inside.press(ivan, "New device")
    key = ivan.press("Laptop", tap=3)
    inside.pump()
    assert sorted(each.device for each in devices(inside.app)) == ["laptop", "phone"]
    assert api.answers[key]["text"] == "That was done already."


def test_of_two_buttons_of_one_screen_only_the_first_acts(bot, ivan, admin):
    bot.say(ivan, "/start")
    bot.press(ivan, right_picture(bot.app, ivan))
    shown = admin.last
    admin.press("Let in", message=shown)
    admin.tap(shown.rows[0][1]["callback_data"], shown)
    bot.pump()
    assert (everybody(bot.app)[0].approved_at is not None, everybody(bot.app)[0].blocked_at) == (True, None)


def test_an_expired_button_does_not_act(inside, ivan, clock):
    inside.say(ivan, "/regen")
    inside.press(ivan, "phone")
    before = devices(inside.app)
    clock.forward(minutes=16)
    inside.press(ivan, "New keys now")
    assert [each.public_key for each in devices(inside.app)] == [each.public_key for each in before]


def test_what_a_button_does_is_not_in_it(inside, ivan):
    inside.say(ivan, "/start")
    tokens = [button["callback_data"] for row in ivan.last.rows for button in row]
    assert all(len(token) == 22 and token.replace("-", "").replace("_", "").isalnum() for token in tokens)
    assert len(set(tokens)) == len(tokens)


# SEC-03


@pytest.mark.parametrize(
    "payload",
    ["501", "a" * 64, "A_-" * 20, "x\ny", "приглашение", "z" * 4000, "tg501", "../..", "%00", "' OR 1=1 --", "<b>"],
)
def test_start_with_a_made_up_invitation_lets_nobody_in(bot, mallory, payload):
    text = bot.say(mallory, f"/start {payload}")
    assert "does not work" in text
    assert everybody(bot.app) == []


def test_guessing_invitations_ends_after_a_few(bot, mallory, cli):
    for _ in range(4):
        bot.say(mallory, "/start " + "q" * 32)
    assert "Try again in an hour" in mallory.last.text
    code = cli("user", "invite", "--json").json["code"]
    assert "Try again in an hour" in bot.say(mallory, f"/start {code}")
    assert everybody(bot.app) == []


def test_wrong_pictures_end_after_a_few_and_the_pause_ends_too(bot, mallory, clock):
    bot.say(mallory, "/start")
    for _ in range(3):
        right = right_picture(bot.app, mallory)
        bot.press(mallory, next(label for label in mallory.last.labels() if label != right))
    assert "Try again in an hour" in mallory.last.text
    assert "Try again in an hour" in bot.say(mallory, "/start")
    clock.forward(hours=1)
    assert "Press the picture" in bot.say(mallory, "/start")


# SEC-04


def elsewhere(person):
    group = {"id": -5, "type": "group", "title": "g"}
    admin_of_group = {"id": 1087968824, "is_bot": True, "first_name": "Group"}
    return {
        "group": {"chat": group},
        "supergroup": {"chat": group | {"type": "supergroup"}},
        "channel": {"chat": group | {"type": "channel"}},
        "anonymous admin": {"chat": group, "sender_chat": group, "from": admin_of_group},
        "sender chat in private": {"sender_chat": {"id": -7, "type": "channel", "title": "c"}},
        "forwarded": {"forward_origin": {"type": "user", "date": 1, "sender_user": person.who}},
        "forwarded, old form": {"forward_from": person.who, "forward_date": 1},
        "another bot": {"from": person.who | {"is_bot": True}},
        "somebody else's private chat": {"chat": {"id": 999, "type": "private"}},
    }


@pytest.mark.parametrize("where", ["group", "supergroup", "channel", "anonymous admin", "sender chat in private", "forwarded", "forwarded, old form", "another bot", "somebody else's private chat"])  # fmt: skip
def test_nobody_is_listened_to_elsewhere_than_in_their_own_chat(inside, admin, api, where):
    count = len(api.calls)
    admin.say("/users", **elsewhere(admin)[where])
    inside.pump()
    assert [call.method for call in api.calls[count:] if call.method != "getUpdates"] == []


def test_edited_messages_and_commands_for_another_bot_are_not_listened_to(inside, admin, api):
    api.push({"edited_message": {"message_id": 1, "date": 1, "chat": admin.chat, "from": admin.who, "text": "/users"}})
    count = len(admin.messages)
    inside.say(admin, "/users@other_bot")
    assert len(admin.messages) == count
    inside.say(admin, f"/users@{NAME.upper()}")
    assert "People" in admin.last.text


def test_buttons_under_messages_elsewhere_do_nothing(inside, ivan):
    inside.say(ivan, "/start")
    token = ivan.last.rows[0][0]["callback_data"]
    group = {"message_id": 5, "date": 1, "chat": {"id": -5, "type": "group", "title": "g"}}
    ivan.tap(token, message=group)
    inside.pump()
    with inside.app.store.read() as tx:
        assert tx.one(Button, models.button.c.id == token).used_at is None


# SEC-05, SEC-06


def test_a_typed_number_a_contact_and_an_admins_user_name_make_nobody_an_admin(bot, mallory):
    bot.say(mallory, str(ADMIN))
    bot.say(mallory, "", contact={"user_id": ADMIN, "first_name": "Olga", "phone_number": "+1"})
    mallory.who["username"] = "olga_admin"
    assert bot.say(mallory, "/users").startswith("Access denied.")
    assert everybody(bot.app) == []


# SEC-07

NAMES = [
    "<b>bold</b>", "</code><a href='tg://user?id=1'>x</a>", "&lt;&amp;&", "[x](tg://user?id=1)", "\u202egnp.exe", "a\u200bb\u2060c",
    "Ж" * 4096, "\x00\x1b[2J\x07", "*_`~|{}", "{user} {0} %s", "  ", "🙂" * 50, "line\nbreak",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_names_forge_no_markup_and_no_lines(bot, api, admin, name):
    who = api.person(700, name)
    bot.say(who, "/start")
    bot.press(who, right_picture(bot.app, who))
    assert admin.last.text.count("\n") == 0, "one line, whatever the name"
    bot.press(admin, "Let in")
    bot.say(admin, "/users")
    bot.press(admin, "tg700")
    assert "tg700" in admin.last.text
    bot.say(who, "/start")
    stored = everybody(bot.app)[0].display_name
    assert len(stored) <= 64
    assert stored.isprintable()
    for call in api.methods("sendMessage") + api.methods("editMessageText"):
        assert "\u202e" not in str(call.params)
    assert api.problems == []
    assert bot.log == []


# SEC-08


@pytest.mark.parametrize("file", ["../../x", "a\x00b", "n" * 300, "/etc/passwd"])
def test_files_that_people_send_are_not_touched(inside, ivan, file, tmp_path, api):
    before = sorted(tmp_path.rglob("*"))
    document = {"file_id": "F", "file_unique_id": "U", "file_name": file, "mime_type": "text/plain", "file_size": 3}
    text = inside.say(ivan, "", document=document)
    assert "Your VPN" in text
    assert [each for each in sorted(tmp_path.rglob("*")) if each not in before and "wal" not in each.name] == []
    assert api.methods("getFile") == []


# SEC-09


def test_a_flood_from_one_is_not_answered_and_others_are_served(inside, ivan, admin, api, clock):
    clock.forward(minutes=1)
    count = len(ivan.messages)
    for _ in range(1000):
        ivan.say("/start")
    admin.say("/nodes")
    inside.pump()
    answered = [each.text for each in ivan.messages[count:]]
    assert len(answered) == updates.BURST + 1
    assert answered[-1] == "Slow down, please."
    assert "Servers" in admin.last.text
    clock.forward(seconds=11)
    assert "Your VPN" in inside.say(ivan, "/start")


def test_a_flood_of_strangers_makes_no_users_and_is_silenced_after_a_while(bot, api, clock):
    crowd = [api.person(10_000 + number, "X") for number in range(200)]
    for person in crowd:
        for _ in range(5):
            person.say("hello")
    bot.pump()
    assert everybody(bot.app) == []
    assert all(len(person.messages) == 5 for person in crowd)
    loud = crowd[0]
    for _ in range(10):
        clock.forward(seconds=20)
        for _ in range(5):
            loud.say("hello")
        bot.pump()
    assert len(loud.messages) == updates.STRANGER_LIMIT


def test_one_person_gets_only_so_many_configs_an_hour(inside, ivan, clock):
    for _ in range(12):
        clock.forward(seconds=30)
        inside.say(ivan, "/regen")
        inside.press(ivan, "phone")
        inside.press(ivan, "New keys now")
    assert len(ivan.files("document")) == 10
    assert "Too often" in ivan.last.text or any("Too often" in each.text for each in ivan.messages)
    clock.forward(hours=1)
    inside.say(ivan, "/regen")
    inside.press(ivan, "phone")
    inside.press(ivan, "New keys now")
    assert len(ivan.files("document")) == 11


# SEC-11, SEC-12


@pytest.mark.parametrize("command", [*sorted(COMMANDS), "unknown", "start@lab_vpn_bot"])
def test_who_is_not_let_in_reaches_no_command(bot, serve, mallory, api, command):
    serve("fi")
    text = bot.say(mallory, f"/{command}")
    wanted = "Press the picture" if command.startswith("start") else "Access denied."
    assert wanted in text
    bot.say(mallory, "/start")
    bot.press(mallory, right_picture(bot.app, mallory))
    assert "waits for an admin" in bot.say(mallory, f"/{command}")
    assert devices(bot.app) == []


@pytest.mark.parametrize("action", sorted(BUTTONS))
def test_who_is_not_let_in_reaches_no_button_even_one_of_their_own(bot, serve, mallory, action):
    from vpnctl.actions.talk import buttons
    from vpnctl.texts.letter import Choice

    node = serve("fi")
    users.add(bot.app, ["victim"])
    with bot.app.store.write() as tx:
        args = {
            "id": "x",
            "name": "victim",
            "node": "fi",
            "days": 7,
            "plan": "month",
            "kind": "phone",
            "locale": "ru",
            "platform": "ios",
        }
        rows = buttons.lay(tx, 666, [[Choice("x", action, args)]], bot.app.clock().replace(year=2028))
    before = everybody(bot.app)
    mallory.tap(rows[0][0]["callback_data"])
    bot.pump()
    assert mallory.last.text.startswith("Access denied.")
    assert everybody(bot.app) == before
    assert not node.fake.live_keys()


@pytest.mark.parametrize("action", sorted(name for name, route in BUTTONS.items() if route.whom is For.ADMIN))
def test_a_user_reaches_no_button_of_admins_even_one_of_their_own(inside, ivan, action):
    from vpnctl.actions.talk import buttons
    from vpnctl.texts.letter import Choice

    users.add(inside.app, ["victim"])
    with inside.app.store.write() as tx:
        args = {"id": "x", "name": "victim", "days": 7, "plan": "month"}
        rows = buttons.lay(tx, 501, [[Choice("x", action, args)]], inside.app.clock().replace(year=2028))
    before = everybody(inside.app)
    ivan.tap(rows[0][0]["callback_data"])
    inside.pump()
    assert "Your VPN" in ivan.last.text
    assert everybody(inside.app) == before


@pytest.mark.parametrize("fate", ["blocked", "removed", "cancelled", "no admin"])
def test_what_changed_between_menu_and_press_counts(inside, ivan, admin, fate):
    offer(inside.app)
    if fate == "cancelled":
        users.change(inside.app, "tg501", {"unlimited": False})
    inside.app.clock.forward(seconds=20)
    subscriptions.grant(inside.app, "tg501", "month")
    inside.say(ivan, "/get_config")
    inside.press(ivan, "New device")
    inside.say(admin, "/users")
    before = len(devices(inside.app))
    if fate == "blocked":
        users.block(inside.app, "tg501")
    elif fate == "removed":
        users.remove(inside.app, "tg501")
        before = len(devices(inside.app))
    elif fate == "cancelled":
        subscriptions.cancel(inside.app, "tg501")
    else:
        inside.app = replace(inside.app, settings=replace(inside.app.settings, admin_ids=()))
        late = make_bot(inside.app, inside.api)
        assert "Access denied" in late.press(admin, "tg501")
        return
    inside.press(ivan, "Laptop")
    shown = [each.text for each in ivan.messages]
    assert any(text.startswith("Access denied.") or "was cancelled" in text for text in shown)
    assert len(devices(inside.app)) == before


# SEC-13


def holes(value):
    """Every copy of a document with one thing in it missing, None, or of another kind."""
    for key in value:
        yield {name: item for name, item in value.items() if name != key}
        for other in (None, [], {}, "", 0, -1, True, 2**70, "x" * 5000, [[[]]]):
            yield value | {key: other}
        if isinstance(value[key], dict):
            for inner in holes(value[key]):
                yield value | {key: inner}


MESSAGE = {
    "update_id": 1,
    "message": {
        "message_id": 2, "date": 3, "text": "/start x", "chat": {"id": 5, "type": "private"},
        "from": {"id": 5, "is_bot": False, "first_name": "A", "last_name": "B", "username": "c", "language_code": "ru"},
    },
}  # fmt: skip
PRESS = {
    "update_id": 1,
    "callback_query": {
        "id": "q", "data": "t", "chat_instance": "1", "from": {"id": 5, "is_bot": False, "first_name": "A"},
        "message": {"message_id": 2, "date": 3, "chat": {"id": 5, "type": "private"}},
    },
}  # fmt: skip


@pytest.mark.parametrize("whole", [MESSAGE, PRESS], ids=["message", "press"])
def test_updates_with_holes_are_read_or_left_but_break_nothing(whole):
    assert read(whole, NAME) is not None
    count = 0
    for each in holes(whole):
        found = read(each, NAME)
        assert found is None or (found.sender == 5 and isinstance(found.name, str))
        count += 1
    assert count > 100


@pytest.mark.parametrize("raw", [None, [], "x", 5, {}, {"message": None}, {"message": []}, {"callback_query": {}}])
def test_what_is_no_update_is_left(raw):
    assert read(raw, NAME) is None


def test_updates_with_holes_pass_through_the_running_bot(inside, ivan, api):
    for each in [*holes(MESSAGE), *holes(PRESS)]:
        body = {key: value for key, value in each.items() if key != "update_id"}
        api.push(body)
    inside.pump()
    assert "Your VPN" in inside.say(ivan, "/start")


def test_an_inaccessible_message_gets_a_new_menu(inside, ivan):
    inside.say(ivan, "/start")
    token = ivan.last.rows[0][0]["callback_data"]
    count = len(ivan.messages)
    ivan.tap(token, message={"message_id": 77, "date": 0, "chat": ivan.chat})
    inside.pump()
    assert len(ivan.messages) == count + 1


# SEC-14


def test_two_people_race_for_one_invitation_and_one_wins(bot, api, cli):
    code = cli("user", "invite", "--json").json["code"]
    first, last = api.person(801, "A"), api.person(802, "B")
    first.say(f"/start {code}")
    last.say(f"/start {code}")
    bot.pump()
    assert [row.telegram_id for row in everybody(bot.app)] == [801]
    assert "does not work" in last.last.text


# T6: a stolen admin's account


def test_an_admins_account_is_braked_after_twenty_acts_an_hour(bot, admin, clock):
    users.add(bot.app, [f"u{number:02}" for number in range(25)])
    for number in range(25):
        clock.forward(seconds=30)
        bot.say(admin, f"/users u{number:02}")
        bot.press(admin, f"u{number:02}")
        bot.press(admin, "Suspend")
        bot.press(admin, "Suspend now")
    blocked = [row for row in everybody(bot.app) if row.blocked_at is not None]
    assert len(blocked) == 20
    assert "The brake" in admin.last.text
    clock.forward(hours=1)
    bot.say(admin, "/users u24")
    bot.press(admin, "u24")
    bot.press(admin, "Suspend")
    bot.press(admin, "Suspend now")
    assert len([row for row in everybody(bot.app) if row.blocked_at is not None]) == 21


def test_admins_give_no_more_than_a_month_at_once():
    assert max(people_handlers.EXTENSIONS) <= 31


def test_no_admin_route_touches_nodes_keys_configs_of_others_or_settings():
    admin_routes = {name for name, route in (BUTTONS | COMMANDS).items() if route.whom is For.ADMIN}
    assert admin_routes == {
        "users", "user", "add_user", "approve", "reject", "extend", "give", "given", "suspend", "suspended", "unblock",
        "nodes", "pending", "request", "grant", "refuse", "accept", "refusing", "refused", "declining", "take_back", "history",
        "lock", "lockdown",
    }  # fmt: skip


# what leaves


def test_the_token_and_keys_are_in_no_log_and_in_no_row(inside, ivan, api):
    api.fail("sendMessage", 0, times=2)
    api.fail("sendMessage", 400, {"ok": False, "description": f"bad {TOKEN}"})
    inside.say(ivan, "/start")
    inside.say(ivan, "/start")
    with inside.app.store.read() as tx:
        rows = str([tx.all(kind) for kind in (Received, Button, User, Peer)])
        notices = str(tx.execute(models.notice.select()).all())
    ((_, config), *_more) = ivan.files("document")
    private = next(line.partition(" = ")[2] for line in config.decode().splitlines() if line.startswith("PrivateKey"))
    for text in (str(inside.log), rows, notices):
        assert TOKEN not in text
        assert private not in text


def test_what_people_wrote_is_forgotten_once_it_was_handled(inside, ivan):
    inside.say(ivan, "my secret diary")
    with inside.app.store.read() as tx:
        assert {row.body for row in tx.all(Received)} == {None}


def test_long_texts_are_cut_at_a_line():
    text = "\n".join(f"<b>{number}</b> {'&lt;' * 50}" for number in range(200))
    cut = fitted(text)
    assert cut.endswith("\n…")
    assert cut.count("<b>") == cut.count("</b>")
    assert len(cut.replace("&lt;", "<")) < LONGEST + 1000
