"""Events and work over a real nats-server: in order, none lost to a crash, none twice, and workers that share a queue."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import cannot, serving
from tests.sales.conftest import filled  # noqa: F401 - a fixture
from tests.support.nats import Nats, debian
from tests.support.postgres import NotHere
from tests.support.working import working
from tests.worker.conftest import machines  # noqa: F401 - a fixture
from tests.worker.test_worker import until
from vpnctl.actions.people import peers, users
from vpnctl.actions.people.issue import Wanted
from vpnctl.bus import publishing, streams
from vpnctl.bus.connection import Bus, BusTrouble
from vpnctl.errors import InvalidInput, StateTrouble
from vpnctl.reports import audit
from vpnctl.rules import published
from vpnctl.settings import load
from vpnctl.store.queue import pending_nodes
from vpnctl.worker import settling, worker


@pytest.fixture
def nats(request, tmp_path):
    try:
        made = Nats(tmp_path / "nats", debian() if getattr(request, "param", "") == "debian" else "")
    except NotHere as why:
        cannot("NATS tests", str(why))
    yield made
    made.close()


@pytest.fixture
def bus(app, nats):
    """The app with a bus that is set up, and the bus."""
    known = replace(app, settings=replace(app.settings, nats_url=nats.url))
    with contextlib.closing(Bus(known.settings)) as opened:
        streams.declare(opened, known.settings)
        yield known, opened


def everything(opened):
    """Return all events that the bus holds, in its order."""

    async def read(stream):
        queue = await stream.pull_subscribe(f"{published.EVENTS}.>", stream=streams.EVENT_STREAM)
        found = []
        while True:
            info = await stream.stream_info(streams.EVENT_STREAM)
            if len(found) >= info.state.messages:
                await queue.unsubscribe()
                return found
            found += await queue.fetch(100, timeout=5)

    return [(each.subject, json.loads(each.data)) for each in opened.call(read, 30)]


@pytest.mark.parametrize("nats", ["current", "debian"], indirect=True)
def test_setup_makes_streams_once_and_changes_what_differs(bus):
    app, opened = bus
    assert {each.state for each in streams.declare(opened, app.settings)} == {"as it should be"}
    smaller = replace(app.settings, nats_event_mib=64)
    assert [each.state for each in streams.shown(opened, smaller)] == ["differs", "as it should be"]
    assert [each.state for each in streams.declare(opened, smaller)] == ["changed", "as it should be"]
    assert [each.state for each in streams.shown(opened, smaller)] == ["as it should be", "as it should be"]


@pytest.mark.parametrize("nats", ["current", "debian"], indirect=True)
def test_events_go_out_in_their_order_with_what_they_say(bus):
    app, opened = bus
    publishing.publish(app, opened)
    users.add(app, ["anna", "bob"])
    users.block(app, "anna")
    assert publishing.publish(app, opened) == 3
    found = everything(opened)
    assert [(subject, each["subject"]["name"]) for subject, each in found] == [
        ("vpnctl.events.user.add", "anna"),
        ("vpnctl.events.user.add", "bob"),
        ("vpnctl.events.user.block", "anna"),
    ]
    assert [each["seq"] for _, each in found] == sorted(each["seq"] for _, each in found)
    assert found[0][1].keys() == {"version", "seq", "at", "verb", "actor", "subject", "before", "after", "run"}
    assert publishing.publish(app, opened) == 0


def test_what_was_before_the_bus_is_not_published(bus):
    app, opened = bus
    users.add(app, ["early"])
    publishing.publish(app, opened)
    assert everything(opened) == []


@pytest.mark.parametrize("nats", ["current", "debian"], indirect=True)
def test_killed_between_the_bus_and_the_cursor_it_repeats_and_the_bus_leaves_that_out(bus, monkeypatch):
    app, opened = bus
    publishing.publish(app, opened)
    users.add(app, [f"u{number}" for number in range(5)])

    class Killed(BaseException):
        pass

    original = type(app.store).write

    def dies(_store):
        raise Killed

    monkeypatch.setattr(type(app.store), "write", dies)
    with pytest.raises(Killed):
        publishing.publish(app, opened)
    monkeypatch.setattr(type(app.store), "write", original)
    assert publishing.publish(app, opened) == 5
    assert [each["subject"]["name"] for _, each in everything(opened)] == [f"u{number}" for number in range(5)]


def test_events_wait_for_a_server_that_is_gone_and_all_arrive(bus, nats):
    app, opened = bus
    publishing.publish(app, opened)
    nats.end()
    users.add(app, ["anna"])
    with pytest.raises(BusTrouble):
        publishing.publish(app, opened)
    with app.store.read() as tx:
        assert publishing.behind(tx) == 1
    nats.start()
    until(lambda: opened.is_up(), 20)
    assert publishing.publish(app, opened) == 1
    assert [each["subject"]["name"] for _, each in everything(opened)] == ["anna"]


@pytest.mark.parametrize("nats", ["current", "debian"], indirect=True)
def test_a_node_waits_once_however_often_it_is_named(bus, serve):
    app, opened = bus
    node = serve("fi")
    users.add(app, ["anna"])
    for number in range(3):
        peers.add(app, [Wanted("anna", f"d{number}")])
        assert publishing.call_for_work(app, opened) == 1
        assert publishing.call_for_work(app, opened) == 1

    async def count(stream):
        return (await stream.stream_info(streams.WORK_STREAM)).state.messages

    assert opened.call(count) == 1
    assert node.fake is not None


@pytest.fixture
def workers(monkeypatch):
    """What starts workers on a bus."""
    monkeypatch.setattr(worker, "WATCH", 0.05)
    monkeypatch.setattr(settling, "LOOK", 60.0)  # so that only the bus is quick enough
    with contextlib.ExitStack() as running:
        yield lambda app: running.enter_context(working(app))


@pytest.mark.postgres
@pytest.mark.parametrize("nats", ["current", "debian"], indirect=True)
def test_workers_share_the_queue_and_events_go_out_by_one(machines, workers, fleet, nats):  # noqa: F811
    first = machines()
    first = replace(first, settings=replace(first.settings, nats_url=nats.url))
    nodes = [serving(first, fleet)(f"n{number}") for number in range(8)]
    with contextlib.closing(Bus(first.settings)) as opened:
        streams.declare(opened, first.settings)
        publishing.publish(first, opened)
        for _ in range(3):
            other = machines()
            workers(replace(other, settings=replace(other.settings, nats_url=nats.url)))
        users.add(first, ["anna"])
        issued = peers.add(first, [Wanted("anna", node.name, node.name) for node in nodes])
        keys = {each.node.name: each.peer.identity for each in issued}
        until(lambda: all(keys[node.name] in node.fake.live_keys() for node in nodes), 30)

        async def left(stream):
            return (await stream.stream_info(streams.WORK_STREAM)).state.messages

        until(lambda: opened.call(left) == 0, 60)  # one that got lost on its way comes again after 20 s
        with first.store.read() as tx:
            assert pending_nodes(tx, first.clock()) == []
            written = [each.seq for each in audit.behind(tx, 0, limit=10_000)]
        until(lambda: {each["seq"] for _, each in everything(opened)} >= set(written[-9:]), 20)
        seqs = [each["seq"] for _, each in everything(opened)]
        assert seqs == sorted(set(seqs))


@pytest.mark.postgres
def test_without_nats_work_goes_on_and_with_it_again_too(machines, workers, fleet, nats):  # noqa: F811
    first = machines()
    first = replace(first, settings=replace(first.settings, nats_url=nats.url))
    node = serving(first, fleet)("fi")
    with contextlib.closing(Bus(first.settings)) as opened:
        streams.declare(opened, first.settings)
    log = workers(first)
    users.add(first, ["anna"])
    one = peers.add(first, [Wanted("anna", "one")])[0].peer.identity
    until(lambda: one in node.fake.live_keys(), 20)
    nats.end()
    time.sleep(0.5)
    two = peers.add(first, [Wanted("anna", "two")])[0].peer.identity
    until(lambda: two in node.fake.live_keys(), 40)
    nats.start()
    three = peers.add(first, [Wanted("anna", "three")])[0].peer.identity
    until(lambda: three in node.fake.live_keys(), 40)
    until(lambda: "NATS is back" in log, 60)


def test_another_region_keeps_a_copy_of_the_events_by_the_configurations_of_the_docs(app, tmp_path):
    docs, ports = Path(__file__).parents[2] / "docs/nats", {}
    for port in ("4222", "4223", "7422"):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            ports[port] = str(probe.getsockname()[1])

    def configured(name):
        text = (docs / f"{name}.conf").read_text().replace("/var/lib/nats", f"{tmp_path}/nats")
        for port, other in ports.items():
            text = text.replace(port, other)
        return text

    try:
        hub, region = (Nats(tmp_path / name, text=configured(name)) for name in ("hub", "region"))
    except NotHere as why:
        cannot("NATS tests", str(why))
    known = [replace(app.settings, nats_url=f"nats://127.0.0.1:{ports[port]}") for port in ("4222", "4223")]
    with contextlib.closing(Bus(known[0])) as here, contextlib.closing(Bus(known[1])) as there:
        streams.declare(here, known[0])
        publishing.publish(app, here)
        users.add(app, ["anna"])
        publishing.publish(app, here)
        assert [each.state for each in streams.mirror(there, known[1], "hub")] == ["made"]

        async def held(stream):
            return (await stream.stream_info(streams.EVENT_STREAM)).state.messages

        until(lambda: there.call(held) == 1, 30)
        hub.end()
        assert there.call(held) == 1, "it is read there while the hub is away"
        hub.start()
        users.add(app, ["bob"])
        until(lambda: here.is_up(), 30)
        publishing.publish(app, here)
        until(lambda: there.call(held) == 2, 60)
    hub.close()
    region.close()


def test_the_commands(service, nats, monkeypatch):
    monkeypatch.setenv("VPNCTL_NATS_URL", nats.url)
    made = service("bus", "setup", "--json").json
    assert [(each["name"], each["state"]) for each in made] == [("VPNCTL_EVENTS", "made"), ("VPNCTL_WORK", "made")]
    assert {each["state"] for each in service("bus", "show", "--json").json} == {"as it should be"}
    nats.end()
    gone = service("bus", "show")
    assert (gone.code, "NATS" in gone.err) == (10, True)


def test_without_a_bus_the_hint_says_what_to_set(service):
    refused = service("bus", "show")
    assert (refused.code, "set nats_url" in refused.err) == (2, True)


@pytest.mark.parametrize(("mode", "said"), [(0o640, "can be read by others"), (None, "No such file")])
def test_credentials_that_others_can_read_are_refused(app, tmp_path, mode, said):
    path = tmp_path / "nats.creds"
    if mode is not None:
        path.touch(mode)
        path.chmod(mode)
    known = replace(app.settings, nats_url="nats://127.0.0.1:1", nats_credentials=path)
    with pytest.raises(StateTrouble, match=said):
        Bus(known)


@pytest.mark.parametrize("url", ["nats://user:password@host", "http://host", "nats://", "nats://host:4222/x"])
def test_an_address_with_a_password_is_refused_and_not_repeated(url, tmp_path):
    with pytest.raises(InvalidInput) as caught:
        load(None, {"HOME": str(tmp_path), "VPNCTL_NATS_URL": url})
    assert "password@" not in caught.value.what
