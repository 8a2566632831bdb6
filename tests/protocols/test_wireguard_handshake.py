"""The WireGuard handshake against a server's half written from the paper; the lab holds both to a real server."""

from __future__ import annotations

import os
import socket
import struct
import threading

import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from vpnctl.protocols import keypair
from vpnctl.protocols.conversation import Heard
from vpnctl.protocols.wireguard import handshake
from vpnctl.protocols.wireguard.handshake import Identity, Sign
from vpnctl.protocols.wireguard.session import Initiator
from vpnctl.remote import probe
from vpnctl.remote.probe import Verdict


def test_hchacha20_gives_the_drafts_vector():
    key = bytes(range(32))
    nonce = bytes.fromhex("000000090000004a0000000031415927")
    wanted = "82413b4227b27bfed30e42508a877d73a0f9e4d58a74a853c12ec41326d3ecdc"
    assert handshake._hchacha(key, nonce).hex() == wanted


class Server:
    """The responder's half: reads a first message and answers it."""

    def __init__(self, psk=handshake.NO_PSK, client=None):
        self.private, self.psk, self.last = os.urandom(32), psk, b""
        self.public = keypair.public(self.private)
        self.client = client
        self.cookie = b""

    def answer(self, packet):
        """Return the response, a cookie reply while under load, or None for what is dropped."""
        assert len(packet) == handshake.INITIATION
        _, index = struct.unpack("<II", packet[:8])
        theirs = packet[8:40]
        chain = handshake._hash(handshake._CONSTRUCTION)
        state = handshake._hash(handshake._hash(chain + handshake._IDENTIFIER) + self.public)
        state = handshake._hash(state + theirs)
        (chain,) = handshake._kdf(chain, theirs, 1)
        chain, key = handshake._kdf(chain, handshake._dh(self.private, theirs), 2)
        static = handshake._open(key, bytes(12), packet[40:88], state)
        state = handshake._hash(state + packet[40:88])
        chain, key = handshake._kdf(chain, handshake._dh(self.private, static), 2)
        stamp = handshake._open(key, bytes(12), packet[88:116], state)
        state = handshake._hash(state + packet[88:116])
        if packet[116:132] != handshake._mac(handshake._hash(b"mac1----" + self.public), packet[:116]):
            return None
        if self.cookie and packet[132:] != handshake._mac(self.cookie, packet[:132]):
            return self._cookie(index, packet[116:132])
        if stamp <= self.last or (self.client and static != self.client):
            return None
        self.last = stamp
        ephemeral = os.urandom(32)
        public = keypair.public(ephemeral)
        state = handshake._hash(state + public)
        (chain,) = handshake._kdf(chain, public, 1)
        (chain,) = handshake._kdf(chain, handshake._dh(ephemeral, theirs), 1)
        (chain,) = handshake._kdf(chain, handshake._dh(ephemeral, static), 1)
        chain, tau, key = handshake._kdf(chain, self.psk, 3)
        state = handshake._hash(state + tau)
        body = struct.pack("<III", 2, 77, index) + public + handshake._seal(key, b"", state)
        self.keys = handshake._kdf(chain, b"", 2)
        return body + handshake._mac(handshake._hash(b"mac1----" + static), body) + bytes(16)

    def _cookie(self, index, mac1):
        nonce = os.urandom(24)
        key = handshake._hchacha(handshake._hash(b"cookie--" + self.public), nonce[:16])
        sealed = ChaCha20Poly1305(key).encrypt(bytes(4) + nonce[16:], self.cookie, mac1)
        return struct.pack("<II", 3, index) + nonce + sealed


def hello(server, psk=handshake.NO_PSK, seconds=1_800_000_000):
    identity = Identity(os.urandom(32), server.public, psk)
    return handshake.initiate(identity, os.urandom(32), 4242, seconds, 0)


def test_both_halves_agree_on_the_sessions_keys():
    server = Server()
    sent = hello(server)
    answer = handshake.read(sent, server.answer(sent.packet))
    assert answer.sign is Sign.OK
    assert answer.receiver == 77
    assert handshake.session_keys(answer) == server.keys


def test_another_psk_on_the_server_is_told_from_silence():
    server = Server(psk=os.urandom(32))
    sent = hello(server, psk=os.urandom(32))
    assert handshake.read(sent, server.answer(sent.packet)).sign is Sign.PSK_MISMATCH


def test_a_cookie_is_read_and_makes_the_next_message_pass():
    server = Server()
    server.cookie = os.urandom(16)
    sent = hello(server)
    answer = handshake.read(sent, server.answer(sent.packet))
    assert (answer.sign, answer.cookie) == (Sign.COOKIE, server.cookie)
    again = sent.with_cookie(answer.cookie)
    assert handshake.read(again, server.answer(again.packet)).sign is Sign.OK


@pytest.mark.parametrize(
    "spoil", [lambda p: p[:-1], lambda p: p[:20] + b"x" + p[21:], lambda p: b"\x04" + p[1:], lambda _: b""]
)
def test_what_is_no_answer_to_us_is_foreign(spoil):
    server = Server()
    sent = hello(server)
    assert handshake.read(sent, spoil(server.answer(sent.packet))).sign is Sign.FOREIGN


def test_an_answer_to_somebody_elses_message_is_foreign():
    server = Server()
    sent, other = hello(server), hello(server, seconds=1_800_000_001)
    answer = server.answer(other.packet)
    assert handshake.read(sent, answer).sign is Sign.FOREIGN


class Clock:
    def __init__(self, start=1_800_000_000):
        self.seconds = start

    def __call__(self):
        self.seconds += 1
        return self.seconds, 0


def listening(respond):
    """A UDP server on loopback; `respond` makes an answer of a packet, or None."""
    line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    line.bind(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                packet, who = line.recvfrom(2048)
            except OSError:
                return
            for answer in respond(packet):
                line.sendto(answer, who)

    threading.Thread(target=serve, daemon=True).start()
    return line


def shake(server, line, psk=handshake.NO_PSK, stamp=None):
    identity = Identity(os.urandom(32), server.public, psk)
    return probe.shake("127.0.0.1", line.getsockname()[1], Initiator(identity), stamp or Clock(), wait=0.3)


def test_a_server_that_answers_is_ok_and_the_time_is_told():
    server = Server()
    line = listening(lambda packet: [server.answer(packet)])
    found = shake(server, line)
    line.close()
    assert found.verdict is Verdict.OK
    assert 0 < found.milliseconds < 300


def test_under_load_the_cookie_is_honoured():
    server = Server()
    server.cookie = os.urandom(16)
    line = listening(lambda packet: [server.answer(packet)])
    found = shake(server, line)
    line.close()
    assert found.verdict is Verdict.OK


def test_silence_refusal_and_a_bad_name_are_told_apart():
    server = Server()
    line = listening(lambda _packet: [])
    assert shake(server, line).verdict is Verdict.SILENT
    line.close()
    assert shake(server, closed()).verdict is Verdict.REFUSED
    identity = Identity(os.urandom(32), server.public)
    assert probe.shake("no-such-name.invalid", 51820, Initiator(identity), Clock()).verdict is Verdict.UNRESOLVED


def closed():
    line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    line.bind(("127.0.0.1", 0))
    port = line.getsockname()[1]
    line.close()

    class Gone:
        def getsockname(self):
            return "127.0.0.1", port

    return Gone()


def test_noise_from_strangers_before_the_answer_does_not_mislead():
    server = Server()
    line = listening(lambda packet: [b"noise", os.urandom(92), os.urandom(64), server.answer(packet)])
    assert shake(server, line).verdict is Verdict.OK
    line.close()


def test_a_psk_mismatch_is_said_at_once():
    server = Server(psk=os.urandom(32))
    line = listening(lambda packet: [server.answer(packet)])
    assert shake(server, line, psk=os.urandom(32)).verdict is Verdict.PSK_MISMATCH
    line.close()


def test_every_first_message_is_later_than_the_one_before_whatever_the_clock_does(app, serve, clock, fleet):
    from vpnctl.actions.fleet import probes
    from vpnctl.store import find

    node = serve()
    with app.store.read() as tx:
        endpoint = find.endpoints(tx, find.node(tx, "fi"))[0]
    stamps = [probes.later(app, endpoint.id)]
    for jump in ({"hours": 1}, {"days": -3}, {"seconds": 0}):
        clock.jump(**jump)
        stamps.append(probes.later(app, endpoint.id))
    assert stamps == sorted(set(stamps))
    assert probes.shake(app, node.fake.name, endpoint).verdict is Verdict.OK


def test_a_session_carries_packets_both_ways_and_nothing_else():
    server = Server()
    talk = Initiator(Identity(os.urandom(32), server.public))
    with pytest.raises(ValueError):
        talk.session()
    assert talk.hear(b"anything") is Heard.FOREIGN
    assert talk.hear(server.answer(talk.say(1_800_000_000, 0))) is Heard.OK
    session = talk.session()
    packet = b"\x45" + bytes(39)
    sent = session.seal(packet)
    sending, receiving = (ChaCha20Poly1305(key) for key in server.keys)
    assert struct.unpack("<IIQ", sent[:16]) == (4, 77, 0)
    assert sending.decrypt(bytes(4) + sent[8:16], sent[16:], None)[: len(packet)] == packet
    assert struct.unpack("<IIQ", session.seal(b"")[:16]) == (4, 77, 1), "numbers go up"
    back = struct.pack("<IIQ", 4, 4242, 0) + receiving.encrypt(bytes(12), packet, None)
    assert session.unseal(back) == packet
    for wrong in (back[:20], b"\x01" + back[1:], back[:-1] + b"x", sent):
        assert session.unseal(wrong) is None
    ping6 = struct.pack("<IIQ", 4, 4242, 0) + receiving.encrypt(bytes(12), b"\x60" + bytes(39), None)
    assert session.unseal(ping6) is None
