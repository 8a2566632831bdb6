"""The traffic ledger: epochs, hostile counters, days and months."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from vpnctl.actions.fleet.metering import sweep
from vpnctl.actions.fleet.settle import Wish, settle
from vpnctl.actions.people import peers, users
from vpnctl.actions.people.issue import Wanted
from vpnctl.reports import traffic as report
from vpnctl.rules import months
from vpnctl.rules.ledger import FASTEST, Reading, gained, spread, stale
from vpnctl.store import models
from vpnctl.store.rows import Peer

NOON = datetime(2027, 1, 15, 12, tzinfo=UTC)
EARLIER = NOON - timedelta(hours=1)
MOSCOW, TEHRAN, BERLIN = ZoneInfo("Europe/Moscow"), ZoneInfo("Asia/Tehran"), ZoneInfo("Europe/Berlin")


def reading(rx=0, tx=0, boot="b1", link=3, handshake=100, at=NOON):
    return Reading(boot, link, rx, tx, handshake, at)


@pytest.mark.parametrize(
    ("before", "after", "gain"),
    [
        (None, reading(5, 7), (5, 7)),
        (reading(5, 7, at=EARLIER), reading(9, 7), (4, 0)),
        (reading(5, 7, at=EARLIER), reading(5, 7), (0, 0)),
        (reading(50, 70, at=EARLIER), reading(60, 80, boot="b2"), (60, 80)),
        (reading(50, 70, at=EARLIER), reading(60, 80, link=4), (60, 80)),
        (reading(50, 70, at=EARLIER), reading(40, 80), (40, 80)),
        (reading(50, 70, at=EARLIER), reading(60, 9), (60, 9)),
        (reading(50, 70, at=EARLIER), reading(60, 80, handshake=0), (10, 10)),
        (reading(50, 70, link=0, at=EARLIER), reading(60, 80, link=9), (10, 10)),
    ],
    ids=["first", "more", "same", "reboot", "interface anew", "counter went back", "other counter", "clock of the node went back", "unknown link"],
)  # fmt: skip
def test_a_reading_adds_the_difference_within_an_epoch_and_the_whole_after_a_new_one(before, after, gain):
    assert gained(before, after, NOON - timedelta(days=1)) == gain


def test_a_node_cannot_invent_more_than_a_line_can_carry():
    rx, _ = gained(reading(0, at=EARLIER), reading(2**63 - 1), EARLIER)
    assert rx <= FASTEST * 3602


def test_a_reading_that_somebody_overtook_says_nothing():
    assert stale(reading(150, at=NOON), reading(100, at=NOON - timedelta(seconds=5)))
    assert not stale(reading(150, at=NOON), reading(160, at=NOON + timedelta(seconds=5)))
    assert not stale(reading(150, at=NOON), reading(100, boot="b2", at=NOON - timedelta(seconds=5)))
    assert not stale(reading(150, at=NOON), reading(100, at=NOON - timedelta(days=1))), "the clock went back"


@given(
    st.integers(0, 2**62),
    st.floats(0, 700 * 86400),
    st.floats(0, 90 * 86400),
    st.sampled_from([UTC, MOSCOW, TEHRAN, BERLIN]),
)
def test_spreading_over_days_loses_and_invents_nothing(amount, start, seconds, zone):
    since = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=start)
    until = (since + timedelta(seconds=seconds)).astimezone(zone)
    days = spread(amount, since, until)
    assert sum(days.values()) == amount
    assert all(since.astimezone(zone).date() <= day <= until.date() for day in days)
    assert all(part >= 0 for part in days.values())


def test_what_passed_over_midnight_belongs_to_both_days_by_time():
    since = datetime(2027, 1, 31, 18, tzinfo=MOSCOW)
    until = datetime(2027, 2, 1, 6, tzinfo=MOSCOW)
    assert spread(1200, since, until) == {date(2027, 1, 31): 600, date(2027, 2, 1): 600}


def test_a_clock_that_went_back_books_everything_today():
    assert spread(100, NOON, EARLIER) == {EARLIER.date(): 100}


@pytest.mark.parametrize(
    ("zone", "utc"),
    [
        (MOSCOW, "2027-02-28T21:00"),
        (TEHRAN, "2027-02-28T20:30"),
        (BERLIN, "2027-02-28T23:00"),
        (UTC, "2027-03-01T00:00"),
    ],
)
def test_a_month_begins_at_midnight_in_the_operators_zone(zone, utc):
    begins = months.next_month(datetime(2027, 2, 10, tzinfo=zone))
    assert begins.astimezone(UTC).strftime("%Y-%m-%dT%H:%M") == utc
    assert months.month_of(begins) == "2027-03"
    assert months.month_of(begins - timedelta(seconds=1)) == "2027-02"


def test_months_back_cross_years():
    assert months.months_back(datetime(2027, 2, 3, tzinfo=UTC), 4) == ["2026-11", "2026-12", "2027-01", "2027-02"]


@pytest.fixture
def counted(app, serve):
    """A node with alice's device on it, and a way to set its counters."""
    node = serve()
    users.add(app, ["alice"])
    peer = peers.add(app, [Wanted("alice")])[0].peer
    settle(app, [node.id])

    class Counted:
        fake, id, key = node.fake, node.id, peer.identity

        def count(self, rx, tx, handshake=1000):
            self.fake.links["wg0"].peers[self.key][2:] = [str(handshake), str(rx), str(tx)]

        def total(self):
            with app.store.read() as tx:
                row = tx.one(Peer, models.peer.c.id == peer.id)
                days = tx.execute(sa.select(sa.func.sum(models.usage.c.rx), sa.func.sum(models.usage.c.tx))).one()
                month = tx.execute(sa.select(sa.func.sum(models.usage_month.c.rx))).scalar()
            assert (row.rx, row.tx) == tuple(each or 0 for each in days), "days and totals say the same"
            assert (month or 0) == row.rx, "months too"
            return row.rx, row.tx

    return Counted()


def test_reading_twice_books_once(app, counted, clock):
    clock.forward(minutes=5)
    counted.count(1000, 2000)
    sweep(app)
    sweep(app)
    assert counted.total() == (1000, 2000)


def test_a_reboot_neither_loses_nor_invents(app, counted, clock):
    clock.forward(minutes=5)
    counted.count(1000, 2000)
    sweep(app)
    counted.fake.reboot()
    counted.count(10, 20)
    clock.forward(minutes=5)
    sweep(app)
    assert counted.total() == (1010, 2020)


def test_a_suspended_device_that_comes_back_is_counted_from_zero(app, counted, clock):
    clock.forward(minutes=5)
    counted.count(1000, 2000)
    peers.suspend(app, "alice")
    settle(app, [counted.id])
    assert counted.total() == (1000, 2000), "the last look before the cut is booked"
    peers.resume(app, "alice")
    settle(app, [counted.id])
    counted.count(1500, 2500, handshake=2000)
    clock.forward(minutes=5)
    sweep(app)
    assert counted.total() == (2500, 4500), "not 500 more, although 1500 is more than 1000"


def test_traffic_after_a_long_suspension_belongs_to_the_month_in_which_it_passed(app, counted, clock):
    peers.suspend(app, "alice")
    settle(app, [counted.id])
    clock.forward(days=60)
    peers.resume(app, "alice")
    settle(app, [counted.id])
    clock.forward(minutes=5)
    counted.count(5000, 0, handshake=9000)
    sweep(app)
    with app.store.read() as tx:
        rows = {row.span: row.total for row in report.by_month(tx, clock(), 3)}
    assert rows == {"2027-01": 0, "2027-02": 0, "2027-03": 5000}


def test_a_node_that_lies_backwards_and_forwards_stays_in_bounds(app, counted, clock):
    for rx in (2**80, -5, 2**63, 7):
        clock.forward(minutes=1)
        counted.count(rx, 0)
        sweep(app)
    assert 0 <= counted.total()[0] < 2**62


def test_a_node_that_does_not_answer_is_booked_when_it_does(app, counted, clock):
    counted.fake.down = True
    clock.forward(minutes=5)
    assert [each.code for each in sweep(app)] == [3]
    counted.fake.down = False
    counted.count(1000, 2000)
    assert [each.code for each in sweep(app)] == [0]
    assert counted.total() == (1000, 2000)


def test_traffic_over_the_end_of_the_month_is_split_and_shown(app, counted, clock):
    clock.now = datetime(2027, 1, 31, 12, tzinfo=UTC)
    counted.count(10, 0)
    sweep(app)
    clock.now = datetime(2027, 2, 1, 12, tzinfo=UTC)
    counted.count(1010, 0)
    sweep(app)
    with app.store.read() as tx:
        rows = {row.span: row.total for row in report.by_month(tx, clock(), 2)}
    assert rows["2027-02"] == 500
    assert sum(rows.values()) == 1010


def test_killed_before_the_commit_a_sample_is_booked_by_the_next_run(app, counted, clock, monkeypatch):
    from vpnctl.store import traffic

    clock.forward(minutes=5)
    counted.count(1000, 2000)
    real = traffic._MONTH
    monkeypatch.setattr(traffic, "_MONTH", sa.text("INSERT INTO nowhere VALUES (1)"))
    assert [each.code for each in sweep(app)] == [3], "the transaction broke at its last statement"
    monkeypatch.setattr(traffic, "_MONTH", real)
    sweep(app)
    assert counted.total() == (1000, 2000)


def test_the_ledger_begins_where_the_counters_stood_at_the_upgrade(app, counted, clock):
    counted.count(10**9, 10**9)
    with app.store.write() as tx:
        tx.execute(sa.text("DELETE FROM counter"))
        tx.execute(
            sa.text(
                "INSERT INTO counter SELECT peer.id, node.boot_id, 0, 1000000000, 1000000000, 0, node.seen_at"
                " FROM peer, node"
            )
        )
    clock.forward(minutes=5)
    settle(app, [counted.id], Wish(always=True))
    assert counted.total() == (0, 0)


def test_traffic_show_prints_days_months_and_who_moved_most(service, fleet, clock):
    service("user", "add", "alice")
    service("peer", "add", "alice")
    fleet["fi.example.org"].people()[0][2:] = ["1000", "1048576", "2097152"]
    clock.forward(minutes=5)
    service("jobs", "run", "usage")
    day = clock().date().isoformat()
    rows = {row["span"]: row for row in service("traffic", "show", "--user", "alice", "--json").json}
    assert rows[day] == {"span": day, "received": 1048576, "sent": 2097152, "total": 3145728}
    assert service("traffic", "show", "--months", "2", "--json").json[-1]["total"] == 3145728
    assert service("traffic", "show", "--node", "fi", "--months", "2", "--json").json[-1]["total"] == 3145728
    assert service("traffic", "show", "--top", "user", "--json").json == [
        {"name": "alice", "received": 1048576, "sent": 2097152, "total": 3145728}
    ]
    assert service("traffic", "show", "--top", "node", "--json").json[0]["name"] == "fi"
    assert service("traffic", "show", "--month", "13").code == 2


def test_a_picture_of_traffic_is_a_picture(service, tmp_path):
    from PIL import Image

    path = tmp_path / "traffic.png"
    assert service("traffic", "show", "--months", "6", "--png", str(path)).code == 0
    assert Image.open(path).size == (900, 240)
    assert service("traffic", "show", "--png", str(path)).code == 2, "nothing is overwritten"
