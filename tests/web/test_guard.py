"""What stands before every route: forged hosts, sizes, patience, headers, and bugs that tell nothing."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

import httpx
import pytest

from tests.support.website import free, serving
from vpnctl.errors import StateTrouble
from vpnctl.rules.secret import Secret
from vpnctl.web import guard, head_timeout, run, webhooks


def raw(site, text, seconds=5):
    """Send bytes and return all that comes until the other side closes or is silent."""
    with socket.create_connection(site.app.settings.web_listen, seconds) as link:
        link.sendall(text)
        got = b""
        try:
            while part := link.recv(65536):
                got += part
        except TimeoutError:
            pass
        return got.decode("latin-1")


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "vpn.example.org.evil.example",
        "evil.example:8090",
        "",
        "[::2]",
        "[::1].evil.example",
        "localhost:80@evil.example",
        "localhost:x",
    ],
)
def test_another_host_is_refused(site, problem, host):
    problem(site.client.get("/metrics", headers={"Host": host}), 421)
    assert site.client.get("/healthz", headers={"Host": host}).status_code == 200, "load balancers ask by address"


@pytest.mark.parametrize("host", ["vpn.example.org", "VPN.example.org:443", "localhost", "127.0.0.1:8090", "[::1]:80"])
def test_our_own_host_and_this_machines_are_served(site, host):
    assert site.client.get("/metrics", headers={"Host": host}).status_code == 401


@pytest.mark.parametrize(("host", "status"), [("192.0.2.7:80", 401), ("[2001:db8::7]:80", 401), ("evil.example", 421)])
def test_where_it_listens_on_all_addresses_each_of_them_is_served(app, host, status):
    made = guard.RequestGuard(None, {"0.0.0.0"}, print)
    assert made._serves(host) is (status == 401)


def test_two_hosts_are_none(site):
    answer = raw(site, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
    assert answer.startswith(("HTTP/1.1 400", "HTTP/1.1 421"))


def test_a_body_of_64_kib_is_taken_and_one_byte_more_is_not(site, problem):
    problem(site.client.post("/payments/stripe", content=b"x" * guard.LARGEST_BODY), 400)
    problem(site.client.post("/payments/stripe", content=b"x" * (guard.LARGEST_BODY + 1)), 413)


def test_a_body_without_end_is_cut_off_at_the_limit(site):
    def drops():
        while True:
            yield b"x" * 8192

    with contextlib.suppress(httpx.WriteError, httpx.ReadError):  # it may close while we still write
        assert site.client.post("/payments/stripe", content=drops()).status_code == 413
    assert site.client.get("/healthz").status_code == 200


def test_a_body_of_two_lengths_is_refused(site):
    head = (
        b"POST /payments/stripe HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    answer = raw(site, head + b"3\r\nabc\r\n0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert answer.startswith("HTTP/1.1 400")
    assert answer.count("HTTP/1.1") == 1, "nothing behind it is taken for another request"


def test_who_is_refused_may_not_go_on_sending(site):
    head = b"POST /payments/stripe HTTP/1.1\r\nHost: evil.example\r\nTransfer-Encoding: chunked\r\n\r\n"
    begun = time.monotonic()
    answer = raw(site, head + b"1\r\nx\r\n", 20)
    assert "connection: close" in answer.lower()
    assert time.monotonic() - begun < 15


def test_bodies_that_do_not_come_keep_nobody_else_waiting(site):
    links = [socket.create_connection(site.app.settings.web_listen, 5) for _ in range(guard.MAX_CONCURRENT + 10)]
    for link in links:
        link.sendall(b"POST /payments/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n")
    assert site.client.get("/nothing").status_code == 404
    for link in links:
        link.close()


def test_answers_on_one_connection_are_not_held_back():
    with run._bound(*free()) as listening:
        assert listening.proto == socket.IPPROTO_TCP, "else asyncio sets no TCP_NODELAY: 40 ms more for each answer"


def test_a_slow_body_is_given_up(site, problem, monkeypatch):
    monkeypatch.setattr(guard, "BODY_SECONDS", 0.3)

    def drops():
        yield b"{"
        time.sleep(1)
        yield b"}"

    problem(site.client.post("/payments/stripe", content=drops()), 408)


def test_a_slow_head_is_cut_off(app, monkeypatch):
    monkeypatch.setattr(head_timeout, "HEAD_SECONDS", 0.3)
    with serving(app) as site:
        begin = time.monotonic()
        assert raw(site, b"GET /healthz HTTP/1.1\r\nHost: local") == ""
        assert time.monotonic() - begin < 4
        twice = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
        assert raw(site, twice + b"GET /healthz HT").count("HTTP/1.1 200") == 1, "nor on a connection that served"


def test_a_huge_head_is_refused(site):
    many = b"".join(b"X-%d: %s\r\n" % (number, b"y" * 1000) for number in range(100))
    assert raw(site, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + many + b"\r\n", 2).split("\n")[0].split(" ")[
        1
    ] in ("400", "431")


def test_a_long_address_is_refused(site, problem):
    problem(site.client.get("/healthz?" + "x" * 5000), 414)


@pytest.mark.parametrize(
    "path",
    [
        "/..",
        "/../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "//evil.example/",
        "/api/v1/users/../../x",
        "/s/%00",
        "/s/" + "a" * 43,
        "/api/v1/nodes/%0d%0aX: y",
        "/\\evil",
    ],
)
def test_tricks_with_paths_lead_nowhere(site, path):
    with socket.create_connection(site.app.settings.web_listen, 5) as link:
        link.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        answer = link.recv(65536).decode()
    assert answer.split(" ")[1] in ("401", "404", "400")
    assert "location:" not in answer.lower()


def test_every_answer_has_the_headers_that_keep_browsers_careful(site):
    for path in ("/healthz", "/nothing", "/api/v1/users"):
        headers = site.client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert headers["cache-control"] == "no-store"
        assert "server" not in headers


def test_a_bug_tells_neither_values_nor_a_trace(app, problem):
    class Broken:
        secret = Secret("right")

        def receive(self, _raw):
            raise RuntimeError("the secret is hunter2")

    with serving(app, Broken()) as site:
        answer = site.client.post("/telegram", json={}, headers={webhooks.SECRET_HEADER: "right"})
        body = problem(answer, 500, "a bug in vpnctl: RuntimeError at test_guard.py:")
        assert "hunter2" not in str(body) + str(site.log)
        assert site.client.get("/healthz").status_code == 200


def test_too_many_at_once_are_told_to_come_again(site, problem, monkeypatch):
    monkeypatch.setattr(guard, "MAX_CONCURRENT", 0)
    assert problem(site.client.get("/metrics"), 503)["detail"] == "too many requests at once"
    assert site.client.get("/healthz").status_code == 200


def test_a_flood_leaves_it_serving(site):
    statuses = []

    def flood():
        with httpx.Client(base_url=site.url, timeout=60) as client:
            statuses.extend(client.get("/s/" + "b" * 43).status_code for _ in range(40))

    threads = [threading.Thread(target=flood) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [404] * 320
    assert site.client.get("/readyz").status_code == 200


def test_a_taken_port_is_said(app):
    with serving(app) as site, pytest.raises(StateTrouble, match="cannot listen on"):
        run.run(site.app, print, threading.Event())


def test_figures_have_a_port_of_their_own_without_a_key(app, problem):
    listen = free()
    with serving(app, metrics_listen=listen) as site:
        assert b"vpnctl_users 0.0" in httpx.get(f"http://{listen}/metrics").content
        problem(site.client.get("/metrics"), 401)
        problem(httpx.get(f"http://{listen}/api/v1/users"), 404)


def test_it_is_not_ready_without_its_database(site, problem, monkeypatch):
    monkeypatch.setattr(
        type(site.app.store), "schema", lambda _self: (_ for _ in ()).throw(StateTrouble("gone", "mend"))
    )
    problem(site.client.get("/readyz"), 503, "not now")
    assert site.log[-1] == "GET /readyz was answered with 503"
    assert site.client.get("/healthz").status_code == 200
