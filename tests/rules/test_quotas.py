"""Traffic limits: of a day, a week, a month, the last 30 days; of each node; and a node's own. One predicate, twice."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from vpnctl.rules.access import Period, Person, Reason, Standing, why_not
from vpnctl.rules.months import PERIODS, period_start
from vpnctl.store import models
from vpnctl.store.engine import Tx
from vpnctl.store.people import node_limits, persons, standing
from vpnctl.store.queue import over_limit, wanted
from vpnctl.store.rows import Peer, User

NOW = datetime(2027, 1, 15, 12, tzinfo=UTC)
"""A Friday."""
YEAR = timedelta(days=365)


@pytest.mark.parametrize(
    ("period", "first"),
    [
        ("day", date(2027, 1, 15)),
        ("week", date(2027, 1, 11)),
        ("month", date(2027, 1, 1)),
        ("rolling", date(2026, 12, 17)),
    ],
)
def test_a_period_begins_on_a_day_of_the_calendar(period, first):
    assert period_start(period, NOW) == first


def test_a_week_begins_on_monday_itself():
    assert period_start("week", datetime(2027, 1, 11, tzinfo=UTC)) == date(2027, 1, 11)


def of(**period):
    return Period(NOW - YEAR, NOW + YEAR, None, **{"traffic": None, **period})


@pytest.mark.parametrize(
    ("periods", "spent", "here", "stopped", "reason"),
    [
        ((of(traffic=100, traffic_period="day"),), {"day": 99}, {}, False, None),
        ((of(traffic=100, traffic_period="day"),), {"day": 100}, {}, False, Reason.PERIOD_QUOTA),
        ((of(traffic=100, traffic_period="day"), of()), {"day": 100}, {}, False, None),
        ((of(node_traffic=10),), {}, {"month": 9}, False, None),
        ((of(node_traffic=10),), {}, {"month": 10}, False, Reason.NODE_QUOTA),
        ((of(node_traffic=10, traffic_period="week"),), {}, {"month": 10, "week": 9}, False, None),
        ((of(node_traffic=10), of()), {}, {"month": 10}, False, None),
        ((of(),), {}, {}, True, Reason.NODE_STOPPED),
    ],
)
def test_the_predicate_names_which_limit_it_is(periods, spent, here, stopped, reason):
    person = Person(NOW, None, None, False, periods, 0, spent)
    assert why_not(Standing(person, None, None, None, here, stopped), NOW) is reason


amounts = st.sampled_from([None, 0, 50, 100])
terms = st.lists(st.tuples(amounts, st.sampled_from(PERIODS), amounts), max_size=2)
usages = st.dictionaries(
    st.sampled_from([0, 1, 4, 5, 14, 15, 20, 29, 30, 60]), st.sampled_from([0, 25, 50, 100]), max_size=4
)
people = st.lists(st.tuples(st.booleans(), terms, usages, usages), min_size=1, max_size=6)
nodes = st.tuples(st.sampled_from([None, 50, 150]), st.sampled_from(["warn", "close", "stop"]))


@settings(deadline=None, max_examples=60)
@given(people, nodes, nodes)
def test_the_predicate_in_sql_says_the_same_of_all_limits(rows, first, second):
    engine = sa.create_engine("sqlite://")
    models.metadata.create_all(engine)
    with engine.begin() as connection:
        for number, (limit, action) in enumerate((first, second)):
            _node(connection, number, limit, action)
        for number, (unlimited, periods, *used) in enumerate(rows):
            _person(connection, str(number), unlimited, periods, used)
        tx = Tx(connection)
        query = (
            sa.select(models.peer.c.id).join(models.user, models.user.c.id == models.peer.c.user_id).where(wanted(NOW))
        )
        found = set(connection.execute(query).scalars())
        who = persons(tx, tx.all(User), NOW)
        limits = node_limits(tx, who, NOW)
        peers = tx.all(Peer)
        used_up = set(connection.execute(over_limit(NOW)).scalars())
    assert found == {peer.id for peer in peers if why_not(standing(who[peer.user_id], peer, limits), NOW) is None}
    for number, (limit, _) in enumerate((first, second)):
        passed = sum(n for _, _, *used in rows for days, n in used[number].items() if days <= 14)
        assert (f"n{number}" in used_up) == (
            limit is not None and passed >= limit and any(row[2 + number] for row in rows)
        )


def _node(connection, number, limit, action):
    texts = {"region": "", "kind": "ssh", "host": "h", "login": "root", "host_key": "", "public_host": "h"}
    node = {"id": f"n{number}", "name": f"n{number}", "port": 22, "created_at": NOW, **texts}
    connection.execute(sa.insert(models.node).values(**node, traffic_limit=limit, traffic_action=action))
    endpoint = {"id": f"e{number}", "node_id": f"n{number}", "protocol": "wireguard", "name": "wg0", "port": 1}
    more = {"forward_rule": "none", "options": {}, "identity": "", "changed_at": NOW, "created_at": NOW}
    connection.execute(sa.insert(models.endpoint).values(**endpoint, **more, transport="udp", driver="node"))


def _person(connection, key, unlimited, periods, used):
    text = {"display_name": "", "locale": "en", "note": "", "created_at": NOW, "approved_at": NOW}
    connection.execute(sa.insert(models.user).values(id=key, name=key, unlimited=unlimited, **text))
    months = defaultdict(int)
    for number, days in enumerate(used):
        peer = {"id": f"{key}.{number}", "endpoint_id": f"e{number}", "user_id": key, "device": str(number)}
        more = {"identity": key, "own_key": False, "created_at": NOW, "rx": 0, "tx": 0}
        connection.execute(sa.insert(models.peer).values(**peer, **more))
        for back, amount in days.items():
            day = NOW.date() - timedelta(days=back)
            months[f"{day:%Y-%m}"] += amount
            row = {"peer_id": peer["id"], "day": day, "rx": amount, "tx": 0}
            connection.execute(sa.insert(models.usage).values(**row))
    for month, amount in months.items():
        row = {"user_id": key, "month": month, "rx": 0, "tx": amount, "noted": False}
        connection.execute(sa.insert(models.usage_month).values(**row))
    for number, (traffic, period, node_traffic) in enumerate(periods):
        plain = {
            "plan": "p",
            "days": 1,
            "locations": [],
            "prices": {},
            "source": "grant",
            "noted": 0,
            "created_at": NOW,
        }
        span = {"starts_at": NOW - YEAR, "ends_at": NOW + YEAR, "traffic": traffic, "traffic_period": period}
        row = {"id": f"{key}.{number}", "user_id": key, "node_traffic": node_traffic}
        connection.execute(sa.insert(models.subscription).values(**row, **plain, **span))
