"""Sends thousands of heartbeats per second over kept-alive connections from one thread."""

import asyncio
import json
from urllib.parse import urlsplit

from monitor.model import format_mac


class Host:
    """A pool of kept-alive connections to one server."""

    def __init__(self, url: str, timeout: float) -> None:
        self._parts = urlsplit(url)
        self._timeout = timeout
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def beat(self, mac: int, time: int | None = None) -> int:
        """Send one heartbeat, with this time (ms) if given; the status of the answer, or 0."""
        moment = {} if time is None else {"time": time}
        return await self.post("/heartbeat", {"mac_address": format_mac(mac), **moment})

    async def post(self, path: str, content: object) -> int:
        """Send a request; the status of the answer, or 0."""
        body = json.dumps(content)
        head = f"POST {path} HTTP/1.1\r\nHost: {self._parts.netloc}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        writer: asyncio.StreamWriter | None = None
        try:
            async with asyncio.timeout(self._timeout):
                reader, writer = await self._connection()
                writer.write((head + body).encode())
                answer = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
                length = answer.split("content-length:")[1].split("\r\n")[0]
                await reader.readexactly(int(length))
        except (OSError, EOFError, TimeoutError):
            if writer is not None:
                writer.transport.abort()
            return 0
        if "connection: close" in answer:
            writer.close()
        else:
            self._idle.append((reader, writer))
        return int(answer.split()[1])

    async def close(self) -> None:
        """Close idle connections. No heartbeat may be in flight."""
        for _, writer in self._idle:
            writer.close()
        closing = (writer.wait_closed() for _, writer in self._idle)
        await asyncio.gather(*closing, return_exceptions=True)

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while self._idle:
            reader, writer = self._idle.pop()
            if not reader.at_eof() and reader.exception() is None:
                return reader, writer
            writer.close()
        return await asyncio.open_connection(self._parts.hostname, self._parts.port)
