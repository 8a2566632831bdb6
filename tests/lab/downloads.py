"""Many downloads at once through SOCKS ports from 20000 on, each slow enough to last; says the hash of each, or what went wrong.

Arguments: how many, the address of the far side, how many bytes its page has, where to write the results. When the page of
each has begun, a file beside the results, `.begun`, says so, and all go on.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import socket
import struct
import sys
import time
from pathlib import Path

SECONDS = 12
SIZE = int(sys.argv[3])


async def begun(number: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Return a connection whose page begins. On a busy machine a handshake may take too long: it is tried again."""
    for left in (2, 1, 0):
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", 20000 + number, limit=65536)
            writer.write(b"\x05\x01\x00")
            await reader.readexactly(2)
            writer.write(b"\x05\x01\x00\x01" + socket.inet_aton(sys.argv[2]) + struct.pack(">H", 80))
            await reader.readexactly(10)
            writer.write(b"GET /blob HTTP/1.0\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
            return reader, writer
        except (OSError, asyncio.IncompleteReadError):
            if not left:
                raise
    raise AssertionError


async def download(number: int, together: asyncio.Barrier) -> str:
    """Return the hash of what came, `never begun`, or `broken` and where it ended too early."""
    try:
        reader, _writer = await begun(number)
    except (OSError, asyncio.IncompleteReadError):
        await together.wait()
        return "never begun"
    if await together.wait() == 0:
        Path(f"{sys.argv[4]}.begun").touch()
    digest, left, start = hashlib.sha256(), SIZE, time.monotonic()
    while left:
        try:
            part = await asyncio.wait_for(reader.read(min(left, SIZE // 40)), 30)
        except (TimeoutError, OSError) as error:
            return f"broken: {type(error).__name__} {SIZE - left} bytes and {time.monotonic() - start:.1f} s on"
        if not part:
            return f"broken: ended {SIZE - left} bytes and {time.monotonic() - start:.1f} s on"
        digest.update(part)
        left -= len(part)
        await asyncio.sleep(SECONDS / 40)
    return digest.hexdigest()


async def main() -> None:
    """Run them side by side."""
    count = int(sys.argv[1])
    together = asyncio.Barrier(count)
    found = await asyncio.gather(*(download(number, together) for number in range(count)))
    Path(sys.argv[4]).write_text(json.dumps(dict(enumerate(found))))


asyncio.run(main())
