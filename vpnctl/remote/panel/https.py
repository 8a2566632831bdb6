"""A panel that is reached from here alone, over TLS whose certificate is trusted or pinned."""

from __future__ import annotations

import contextlib
import email.utils
import hashlib
import http.client
import socket
import ssl
import threading
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import urlsplit

from vpnctl.errors import Distrust, NodeFailed, Unreachable
from vpnctl.remote.panel.door import Access, Cut, Exchanged, Guard, Reply, Sent
from vpnctl.remote.shell import CONNECT_SECONDS, OUTPUT_CAP

SECONDS = 20.0
"""For one request."""


class HttpsDoor:
    """See `Door`."""

    fences = False

    def __init__(self, access: Access, node: str) -> None:
        self._access, self._node = access, node
        self._line: http.client.HTTPConnection | None = None

    def send(
        self,
        messages: Sequence[Sent],
        _guard: Guard | None = None,
        still: Callable[[], bool] = lambda: True,
        cuts: Sequence[Cut] = (),
    ) -> Exchanged:
        """See `Door.send`; from here, no connection can be ended."""
        replies: list[Reply] = []
        for message in messages:
            if not still():
                break
            replies.append(self._one(message))
        return Exchanged(replies, "-", _clock(replies), left={each.port: None for each in cuts})

    def close(self) -> None:
        """Close the connection."""
        if self._line is not None:
            self._line.close()
            self._line = None

    def _one(self, message: Sent) -> Reply:
        where = urlsplit(message.url)
        late = threading.Timer(2 * SECONDS, self._hang_up)
        late.start()
        try:
            line = self._line = self._line or self._open()
            line.request("GET" if message.body is None else "POST", where.path, message.body, dict(message.headers))
            answer = line.getresponse()
            body = answer.read(OUTPUT_CAP + 1)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Unreachable(
                f"{self._node}: the panel does not answer ({type(error).__name__})",
                f"look whether it runs; another address: vpnctl node panel {self._node} URL",
            ) from None
        finally:
            late.cancel()
        if len(body) > OUTPUT_CAP:
            self.close()
            raise NodeFailed(f"{self._node} sent more than {OUTPUT_CAP} bytes")
        if answer.will_close:
            self.close()
        return Reply(answer.status, body, *_heads(answer.getheaders()))

    def _hang_up(self) -> None:
        """End a conversation in which every word came in time, and the whole did not."""
        line = self._line.sock if self._line is not None else None
        if line is not None:
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)

    def _open(self) -> http.client.HTTPConnection:
        where = urlsplit(self._access.url)
        host, pinned = where.hostname or "", self._access.certificate
        context = ssl.create_default_context()
        if pinned:  # its own certificate vouches for it, whoever signed that
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        raw = socket.create_connection((host, where.port or 443), timeout=CONNECT_SECONDS)
        try:
            raw.settimeout(SECONDS)
            safe = context.wrap_socket(raw, server_hostname=host)
        except ssl.SSLCertVerificationError:
            raw.close()
            raise Distrust(
                f"{self._node}: nobody vouches for the certificate of the panel; nothing was sent",
                f"compare it with {shown(host, where.port or 443)}, then: vpnctl node panel {self._node} "
                "--certificate-fp SHA256:…",
            ) from None
        except OSError:
            raw.close()
            raise
        own = fingerprint(safe.getpeercert(binary_form=True) or b"")
        if pinned and own != pinned:
            safe.close()
            raise Distrust(
                f"{self._node}: the panel shows another certificate: {own} instead of {pinned}; nothing was sent",
                f"if it was renewed: vpnctl node panel {self._node} --certificate-fp {own}",
            )
        line = http.client.HTTPSConnection(host, where.port or 443, timeout=SECONDS)
        line.sock = safe
        return line


def fingerprint(certificate: bytes) -> str:
    """Return the SHA-256 of a certificate (DER)."""
    return f"SHA256:{hashlib.sha256(certificate).hexdigest()}"


def shown(host: str, port: int) -> str:
    """Return the fingerprint of the certificate that is shown there now, whoever vouches for it."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection((host, port), timeout=CONNECT_SECONDS) as raw,
        context.wrap_socket(raw, server_hostname=host) as safe,
    ):
        return fingerprint(safe.getpeercert(binary_form=True) or b"")


def _heads(pairs: Sequence[tuple[str, str]]) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Return (headers, cookies)."""
    cookies = dict(value.partition(";")[0].partition("=")[::2] for name, value in pairs if name.lower() == "set-cookie")
    return {name.lower(): value for name, value in pairs}, cookies


def _clock(replies: Sequence[Reply]) -> int | None:
    for reply in replies:
        with contextlib.suppress(ValueError, OverflowError):
            return int(email.utils.parsedate_to_datetime(reply.headers.get("date", "")).timestamp())
    return None
