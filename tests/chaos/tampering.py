"""A line between wallets and servers on which messages arrive twice, in another order, or not for a while.

Only whole websocket messages after the handshake, and whole uploads, are doubled: what TLS would let nobody do to bytes, a restarted
process, a proxy that tries again or a wallet that was cut may well do to messages.
"""

from __future__ import annotations

import asyncio

from tests.stack.proxy import Conversation, Proxy

HANDSHAKE = 3
"""So many messages of each direction are left alone: challenge, proof and welcome are bound to each other on purpose."""
SWAP_SECONDS = 0.15


class TamperedLine(Proxy):
    """`doubling`: each message of a socket arrives twice and each upload is sent twice. `swapping`: neighbours change places."""

    def __init__(self, target: int) -> None:
        self.doubling = self.swapping = False
        self.doubled = self.swapped = 0
        self._tasks: set[asyncio.Task[None]] = set()
        super().__init__(target)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            behind, ahead = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        kept = Conversation()
        self.conversations.append(kept)
        self._writers |= {writer, ahead}
        up, down = _Direction(self, kept, kept.up, ahead), _Direction(self, kept, kept.down, writer)
        try:
            await asyncio.gather(up.run(reader), down.run(behind))
        finally:
            self._writers -= {writer, ahead}
            writer.transport.abort()
            ahead.transport.abort()
            if self.doubling and kept.up.startswith(b"PUT /aggregator/slots/"):
                self._again(bytes(kept.up))

    def _again(self, request: bytes) -> None:
        task = asyncio.get_running_loop().create_task(self._repeat(request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _repeat(self, request: bytes) -> None:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._target)
            writer.write(request)
            await asyncio.wait_for(reader.read(4096), 10)
            writer.close()
            self.doubled += 1
        except (OSError, TimeoutError):
            return


class _Direction:
    """One direction of one connection."""

    def __init__(
        self, line: TamperedLine, kept: Conversation, record: bytearray, out: asyncio.StreamWriter
    ) -> None:
        self._line, self._kept, self._record, self._out = line, kept, record, out
        self._rest = b""
        self._upgraded = False
        self._seen = 0
        self._held: bytes | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def run(self, reader: asyncio.StreamReader) -> None:
        try:
            while chunk := await reader.read(65536):
                self._record += chunk
                self._take(chunk)
                await self._out.drain()
            self._release()
            self._out.write_eof()
        except (OSError, RuntimeError):
            self._out.transport.abort()

    def _take(self, chunk: bytes) -> None:
        if not self._kept.is_socket:
            self._out.write(chunk)
            return
        self._rest += chunk
        if not self._upgraded:
            at = self._rest.find(b"\r\n\r\n")
            if at < 0:
                return
            self._out.write(self._rest[: at + 4])
            self._rest, self._upgraded = self._rest[at + 4 :], True
        while (size := frame_size(self._rest)) and len(self._rest) >= size:
            frame, self._rest = self._rest[:size], self._rest[size:]
            self._pass(frame)

    def _pass(self, frame: bytes) -> None:
        data = frame[0] & 0x8F in (0x81, 0x82)  # a whole message: final, text or binary
        self._seen += data
        if not data or self._seen <= HANDSHAKE or not (self._line.doubling or self._line.swapping):
            self._release()
            self._out.write(frame)
        elif self._line.doubling:
            self._out.write(frame * 2)
            self._line.doubled += 1
        elif self._held is None:
            self._held = frame
            self._timer = asyncio.get_running_loop().call_later(SWAP_SECONDS, self._release)
        else:
            self._out.write(frame)
            self._line.swapped += 1
            self._release()

    def _release(self) -> None:
        """What was held back goes out; alone it only came late."""
        if self._timer is not None:
            self._timer.cancel()
        if self._held is not None and not self._out.is_closing():
            self._out.write(self._held)
        self._held, self._timer = None, None


def frame_size(raw: bytes) -> int:
    """Bytes of the websocket frame that begins here (RFC 6455 section 5.2); 0 when that cannot be said yet."""
    if len(raw) < 2:
        return 0
    length, at = raw[1] & 0x7F, 2
    if length >= 126:
        more = 2 if length == 126 else 8
        if len(raw) < at + more:
            return 0
        length, at = int.from_bytes(raw[at : at + more], "big"), at + more
    return at + (4 if raw[1] & 0x80 else 0) + length
