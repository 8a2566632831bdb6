"""Journeys through the bot with real servers: the program, real HTTP to a loopback Bot API, real packets."""

from __future__ import annotations

import signal
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from tests.lab.network import FAR_V4
from tests.telegram import oracle
from tests.telegram.conftest import right_picture
from tests.telegram.server import TOKEN, BotApi
from vpnctl.app import open_app
from vpnctl.settings import load
from vpnctl.store import models

ADMIN = 11
PLANS = "plans:\n  - {name: month, days: 30}\n"


@pytest.fixture
def api():
    made = BotApi(check=oracle.check)
    yield made
    made.close()
    assert made.problems == []


@pytest.fixture
def phone(lab):
    client = lab.client()
    yield client
    client.disconnect()


@pytest.fixture
def open_bot(served, api, tmp_path):
    """The operator's service with the bot running as a process of its own."""
    served.more |= {
        "VPNCTL_TELEGRAM_API_URL": api.url,
        "VPNCTL_BOT_TOKEN": TOKEN,
        "VPNCTL_ADMIN_IDS": str(ADMIN),
    }
    (tmp_path / "plans.yaml").write_text(PLANS)
    served("inventory", "apply", str(tmp_path / "plans.yaml"), "--yes")
    process = served.start("bot", "run")
    yield served
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "Traceback" not in err
    assert TOKEN not in err


@pytest.fixture
def app(open_bot):
    opened = open_app(
        load(None, {key: value for key, value in open_bot.env.items() if key.startswith(("VPNCTL_", "HOME"))}),
        "cli:test",
    )
    yield opened
    opened.store.close()


def text_of(person, number):
    return person.files("document")[number][1].decode()


def test_a_stranger_becomes_a_user_whose_config_carries_packets_until_regen_and_expiry_cut_it(
    open_bot, app, api, phone, fi, de
):
    ivan, admin = api.person(501, "Ivan"), api.person(ADMIN, "Olga")
    ivan.say("/start")
    ivan.wait("Press the picture", 90)
    ivan.press(right_picture(app, ivan))
    admin.wait("wants access")
    admin.press("Let in")
    ivan.wait("You are in")
    admin.say("/users")
    admin.wait("To search")
    admin.press("tg501")
    admin.wait("Access: no subscription yet")
    admin.press("Give a plan")
    admin.wait("Which plan")
    admin.press("month")
    admin.wait("Access: month")

    ivan.say("/get_config")
    ivan.wait("What is it?")
    ivan.press("Phone")
    ivan.wait("Import it in the app", 90)
    phone.connect(text_of(ivan, 0))
    assert phone.ping(FAR_V4, 20), "the config that came by Telegram carries packets"

    ivan.say("/regen")
    ivan.wait("seen by somebody else")
    ivan.press("phone")
    ivan.wait("stops working at once")
    count = len(ivan.messages)
    ivan.press("New keys now")
    ivan.wait("Import it in the app", 30, after=count)
    assert phone.silent(FAR_V4), "the old one is cut"
    phone.connect(text_of(ivan, 1))
    assert phone.ping(FAR_V4, 20)

    with app.store.write() as tx:
        tx.execute(sa.update(models.subscription).values(ends_at=datetime.now(UTC) - timedelta(seconds=1)))
    open_bot("jobs", "run", "expire")
    assert phone.silent(FAR_V4), "expiry cuts the new one"
    ivan.say("/start")
    ivan.wait("Your subscription has ended")

    admin.say("/users tg501")
    admin.wait("Search: tg501")
    admin.press("tg501")
    admin.wait("subscription ended")
    admin.press("Give a plan")
    admin.wait("Which plan")
    admin.press("month")
    assert phone.ping(FAR_V4, 40), "a further period restores the same file"
    ivan.wait("Your access (month) now lasts until")


def test_a_config_asked_for_while_the_node_is_cut_off_comes_when_it_is_back(open_bot, app, api, phone, fi, de):
    ivan = api.person(501, "Ivan")
    open_bot("user", "add", "ivan", "--telegram-id", "501", "--unlimited")
    open_bot("node", "retire", "de", "--yes")
    fi.cut()
    ivan.say("/get_config")
    ivan.wait("What is it?", 90)
    ivan.press("Laptop")
    ivan.wait("comes here as soon as the server has confirmed it")
    ivan.wait("the server does not answer now", 90)
    assert ivan.files("document") == []
    fi.plug()
    open_bot("jobs", "run", "sync")
    ivan.wait("Import it in the app", 90)
    phone.connect(text_of(ivan, 0))
    assert phone.ping(FAR_V4, 20)
