"""Pure decisions: access, brake, addresses, secrets."""

from __future__ import annotations

import copy
import ipaddress
import json
import pickle
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from vpnctl.errors import Conflict, worst
from vpnctl.rules import addresses
from vpnctl.rules.access import Period, Person, Reason, Standing, holds, online, shown_state, why_not
from vpnctl.rules.brake import held_back
from vpnctl.rules.secret import Secret
from vpnctl.store.engine import Tx

NOW = datetime(2027, 1, 15, tzinfo=UTC)
PAST, FUTURE = NOW - timedelta(days=1), NOW + timedelta(days=1)
PERSON = {"approved_at": PAST, "blocked_at": None, "removed_at": None, "unlimited": True}
PEER = {"suspended_at": None, "revoked_at": None, "expires_at": None}
HERE = Period(PAST, FUTURE, None, None)
LIMITED = {"unlimited": False}


def standing(change):
    person = PERSON | {key: value for key, value in change.items() if key not in PEER}
    return Standing(Person(**person), **(PEER | {key: value for key, value in change.items() if key in PEER}))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"expires_at": FUTURE}, None),
        ({"expires_at": NOW}, Reason.EXPIRED),
        ({"approved_at": None}, Reason.NOT_APPROVED),
        ({"blocked_at": PAST}, Reason.BLOCKED),
        ({"removed_at": PAST}, Reason.REMOVED),
        ({"suspended_at": PAST}, Reason.SUSPENDED),
        ({"revoked_at": PAST, "blocked_at": PAST}, Reason.REVOKED),
        (LIMITED, Reason.NO_ACCESS),
        (LIMITED | {"periods": (HERE,)}, None),
        (LIMITED | {"periods": (Period(PAST, NOW, None, None),)}, Reason.ENDED),
        (LIMITED | {"periods": (Period(NOW, FUTURE, None, None),)}, None),
        (LIMITED | {"periods": (Period(FUTURE, FUTURE + timedelta(days=1), None, None),)}, Reason.NO_ACCESS),
        (LIMITED | {"periods": (Period(PAST, FUTURE, NOW, None),)}, Reason.CANCELLED),
        (LIMITED | {"periods": (Period(PAST, FUTURE, None, 100),), "used": 99}, None),
        (LIMITED | {"periods": (Period(PAST, FUTURE, None, 100),), "used": 100}, Reason.QUOTA),
        (LIMITED | {"periods": (Period(PAST, FUTURE, None, 100), HERE), "used": 100}, None),
        ({"periods": (Period(PAST, NOW, None, 0),), "used": 9}, None),
    ],
)
def test_the_predicate_names_the_reason(change, reason):
    assert why_not(standing(change), NOW) == reason


def test_what_time_or_traffic_brings_is_subject_to_the_brake_and_what_people_ask_is_not():
    by_time = {reason for reason in Reason if not reason.asked}
    quotas = {Reason.QUOTA, Reason.PERIOD_QUOTA, Reason.NODE_QUOTA}
    assert by_time == {Reason.EXPIRED, Reason.ENDED, Reason.NO_ACCESS} | quotas


times = st.sampled_from([None, PAST, NOW, FUTURE])
ends = st.sampled_from([PAST, NOW, FUTURE])
spans = st.lists(st.tuples(ends, ends, times, st.sampled_from([None, 0, 50, 100])), max_size=3)
lives = st.tuples(times, times, times, st.booleans(), times, times, times, spans, st.sampled_from([0, 50, 99, 100]))


@settings(deadline=None, max_examples=60)
@given(st.lists(lives, min_size=1, max_size=20))
def test_the_predicate_in_sql_says_the_same(rows):
    from vpnctl.store import models
    from vpnctl.store.people import persons
    from vpnctl.store.queue import wanted
    from vpnctl.store.rows import User

    engine = sa.create_engine("sqlite://")
    models.metadata.create_all(engine)
    names = ("approved_at", "blocked_at", "removed_at", "unlimited", "suspended_at", "revoked_at", "expires_at")
    with engine.begin() as connection:
        for number, values in enumerate(rows):
            _insert(connection, models, str(number), dict(zip(names, values, strict=False)), values[7], values[8])
        query = (
            sa.select(models.peer.c.id).join(models.user, models.user.c.id == models.peer.c.user_id).where(wanted(NOW))
        )
        found = set(connection.execute(query).scalars())
        tx = Tx(connection)
        people = persons(tx, tx.all(User), NOW)
    expected = {
        str(number)
        for number, values in enumerate(rows)
        if why_not(Standing(people[str(number)], *values[4:7]), NOW) is None
    }
    assert found == expected


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(ends, ends, times), min_size=1, max_size=30))
def test_what_covers_now_in_sql_is_what_holds(rows):
    from vpnctl.store import models
    from vpnctl.store.queue import holding

    engine = sa.create_engine("sqlite://")
    models.metadata.create_all(engine)
    terms = {"user_id": "u", "plan": "p", "days": 1, "locations": [], "prices": {}, "source": "grant", "noted": 0}
    with engine.begin() as connection:
        for number, (starts, ending, cancelled) in enumerate(rows):
            span = {"starts_at": starts, "ends_at": ending, "cancelled_at": cancelled, "created_at": NOW}
            connection.execute(sa.insert(models.subscription).values(id=str(number), **terms, **span))
        found = set(connection.execute(sa.select(models.subscription.c.id).where(holding(NOW))).scalars())
    spans = [Period(starts, ending, cancelled, None) for starts, ending, cancelled in rows]
    assert found == {str(number) for number, span in enumerate(spans) if holds(span, NOW)}


def _insert(connection, models, key, row, periods, used):
    text = {"display_name": "", "locale": "en", "note": "", "created_at": NOW}
    person = {name: row[name] for name in PERSON}
    connection.execute(sa.insert(models.user).values(id=key, name=key, **text, **person))
    counters = {"own_key": False, "created_at": NOW, "rx": 0, "tx": 0}
    where = {"endpoint_id": "e", "user_id": key, "device": "d", "identity": key}
    connection.execute(sa.insert(models.peer).values(id=key, **where, **counters, **{name: row[name] for name in PEER}))
    for number, (starts, ending, cancelled, traffic) in enumerate(periods):
        terms = {
            "plan": "p",
            "days": 1,
            "locations": [],
            "prices": {},
            "source": "grant",
            "noted": 0,
            "created_at": NOW,
        }
        span = {"starts_at": starts, "ends_at": ending, "cancelled_at": cancelled, "traffic": traffic}
        connection.execute(sa.insert(models.subscription).values(id=f"{key}.{number}", user_id=key, **terms, **span))
    month = {"month": "2027-01", "rx": used // 2, "tx": used - used // 2, "noted": False}
    connection.execute(sa.insert(models.usage_month).values(user_id=key, **month))


@pytest.mark.parametrize(
    ("reason", "present", "absent", "shown"),
    [
        (None, NOW, None, "active"),
        (None, None, None, "pending"),
        (Reason.REVOKED, None, None, "revoked, cut pending"),
        (Reason.REVOKED, None, NOW, "revoked"),
        (Reason.SUSPENDED, NOW, None, "suspended, cut pending"),
        (Reason.EXPIRED, None, NOW, "expired"),
        (Reason.BLOCKED, None, NOW, "blocked"),
    ],
)
def test_a_state_is_only_said_when_it_was_seen(reason, present, absent, shown):
    assert shown_state(reason, present, absent) == shown


def test_online_means_a_handshake_of_the_last_180_seconds():
    assert online(NOW - timedelta(seconds=180), NOW)
    assert not online(NOW - timedelta(seconds=181), NOW)
    assert not online(None, NOW)


@pytest.mark.parametrize(
    ("present", "due", "held"), [(5, 5, 0), (10, 10, 0), (11, 11, 11), (200, 40, 0), (200, 41, 41), (0, 0, 0)]
)
def test_the_brake_grabs_beyond_ten_or_a_fifth(present, due, held):
    ids = [str(number) for number in range(present)]
    reasons = {each: Reason.EXPIRED if int(each) < due else None for each in ids}
    assert len(held_back(ids, reasons)) == held


@given(st.sampled_from(["10.0.0.0/30", "10.0.0.0/29", "10.0.0.0/24", "fd00::/120"]), st.integers(0, 20))
def test_free_addresses_are_in_the_pool_and_never_special_or_taken(pool, used):
    network = ipaddress.ip_network(pool)
    every = []
    with pytest.raises(Conflict):
        every.extend(addresses.free(network, set()))
        pytest.fail("a pool has an end")
    every = _drain(network, set())
    assert len(every) == addresses.capacity(network) == len(set(every))
    forbidden = {str(network.network_address), addresses.server_address(network)}
    forbidden |= {str(network.broadcast_address)} if network.version == 4 else set()
    assert not forbidden & set(every)
    taken = set(every[:used])
    assert set(_drain(network, taken)) == set(every) - taken


def _drain(network, taken):
    found = []
    try:
        for each in addresses.free(network, taken):
            found.append(each)
    except Conflict:
        return found
    raise AssertionError("no end")


def test_a_secret_is_not_shown_dumped_or_pickled():
    secret = Secret("hunter2")
    for text in (str(secret), repr(secret), f"{secret}", f"{secret:>20}", repr([secret]), repr({"k": secret})):
        assert "hunter2" not in text
    for attempt in (lambda: json.dumps(secret), lambda: pickle.dumps(secret), lambda: copy.deepcopy(secret)):
        with pytest.raises(TypeError):
            attempt()
    assert secret == Secret("hunter2")


@pytest.mark.parametrize(
    ("codes", "result"),
    [([], 0), ([0, 0], 0), ([3, 0], 3), ([3, 7, 10], 7), ([9, 7], 9), ([4, 3], 3), ([6, 10, 8], 6), ([99], 1)],
)
def test_the_worst_code_speaks_for_all(codes, result):
    assert worst(codes) == result
