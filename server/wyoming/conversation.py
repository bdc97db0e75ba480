"""One client of the Wyoming protocol, from its first event to its last."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from dataclasses import dataclass, replace

import anyio
from wyoming.error import Error
from wyoming.event import Event, Eventable, async_write_event
from wyoming.info import Describe
from wyoming.ping import Ping, Pong
from wyoming.tts import (
    Synthesize,
    SynthesizeChunk,
    SynthesizeStart,
    SynthesizeStop,
    SynthesizeStopped,
)

from engines.api import SpeechRequest
from engines.errors import BadText, Cancelled, EngineFailure, VivavoceError
from engines.text import pauses
from server.errors import RequestTooLarge, error_object
from server.limits import body_limit
from server.pipe import PATIENCE, BytePipe
from server.streaming import pump
from server.wyoming.asked import request_of
from server.wyoming.audio import Audio
from server.wyoming.inbox import Inbox
from server.wyoming.incoming import IncomingText
from server.wyoming.info import describe
from server.wyoming.wire import BadEvent, read_event, text_of
from studio.encode import FORMATS
from studio.jobs import Job
from studio.studio import Studio

log = logging.getLogger("vivavoce.wyoming")

IDLE = 300.0  # seconds without an event after which a client that waits for nothing is let go
LINGER = 2.0  # seconds in which a client may fetch an error before its connection closes


@dataclass
class _Stream:
    """A text that comes in chunks.

    Attributes:
        request: all but the text; its seed is the same for every part.
        spoken: what was spoken last.
        whole: the text once more as a whole, which Home Assistant sends for servers that cannot
            stream; it counts where no chunk came.
        unspeakable: why a part could not be spoken, such as one that is an emoji alone.
    """

    request: SpeechRequest
    text: IncomingText
    size: int = 0
    spoken: str = ""
    whole: str = ""
    unspeakable: BadText | None = None


class Conversation:
    """Reads events and answers them in turn.

    A client that closes its side has left, and what is in work for it is cancelled. An error is
    told by an error event, after which the connection closes: some clients would wait for more.
    """

    def __init__(
        self, studio: Studio, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._studio = studio
        self._reader = reader
        self._writer = writer
        self._inbox = Inbox()
        self._busy = False
        self._stream: _Stream | None = None
        self._audio = Audio(self._send)

    async def run(self) -> None:
        tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._work())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            failed = next((error for task in done if (error := task.exception())), None)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if failed is not None and not isinstance(failed, OSError):
            await self._tell(failed)

    async def refuse(self, error: VivavoceError) -> None:
        """Answer with an error alone."""
        await self._tell(error)

    # in

    async def _read(self) -> None:
        most = body_limit(self._studio.settings)
        while True:
            reading = asyncio.ensure_future(read_event(self._reader, most))
            try:
                # it must not be broken off while an event is half read
                while not (await asyncio.wait([reading], timeout=IDLE))[0]:
                    if not self._busy:
                        return
                found = await reading
            finally:
                reading.cancel()
            if found is None:
                return
            await self._inbox.put(*found)

    async def _work(self) -> None:
        while True:
            event = await self._inbox.get()
            self._busy = True
            await self._answer(event)
            self._busy = self._inbox.waits

    async def _answer(self, event: Event) -> None:
        """Events of other kinds are left out, as the protocol asks for."""
        kind = event.type
        if Describe.is_type(kind):
            await self._send(await asyncio.to_thread(describe, self._studio))
        elif Ping.is_type(kind):
            text = event.data.get("text")
            await self._send(Pong(text if isinstance(text, str) else None))
        elif Synthesize.is_type(kind) and self._stream is not None:
            self._stream.whole = text_of(event)
        elif Synthesize.is_type(kind):
            text, request = text_of(event), await request_of(event, self._studio)
            await self._play(await self._submit(replace(request, text=text)))
            await self._audio.stop()
        elif SynthesizeStart.is_type(kind):
            await self._begin(event)
        elif SynthesizeChunk.is_type(kind):
            await self._go_on(self._open_stream(event), text_of(event))
        elif SynthesizeStop.is_type(kind):
            await self._end(self._open_stream(event))

    # a text in chunks

    async def _begin(self, event: Event) -> None:
        if self._stream is not None:
            raise BadEvent(
                "A text is being sent already.",
                "It ends with synthesize-stop.",
                "Send that first, or use another connection.",
            )
        request = await request_of(event, self._studio)
        # the voice is looked at before there is a text, and one seed is drawn for all of it
        plan = await asyncio.to_thread(self._studio.plan, replace(request, text="a"))
        self._stream = _Stream(replace(request, seed=plan.seed), IncomingText(plan.language))

    def _open_stream(self, event: Event) -> _Stream:
        if self._stream is None:
            raise BadEvent(
                f"{event.type} came alone.",
                "It follows synthesize-start.",
                "Send that first, or the whole text with synthesize.",
            )
        return self._stream

    async def _go_on(self, stream: _Stream, part: str) -> None:
        stream.size += len(part)
        limit = self._studio.settings.max_chars
        if stream.size > limit:
            raise RequestTooLarge(
                f"The text has more than {limit:,} characters.",
                "That is the most of one request.",
                "Send it in parts, a chapter at a time.",
            )
        stream.text.add(part)
        # what came while the last sentences were spoken is spoken together
        if not self._inbox.waits and (text := stream.text.take_sentences()):
            await self._speak_part(stream, text)

    async def _end(self, stream: _Stream) -> None:
        rest = stream.text.take_rest()
        if not stream.size:
            rest = stream.whole
        if rest.strip():
            await self._speak_part(stream, rest)
        if stream.unspeakable is not None and not stream.spoken:
            raise stream.unspeakable
        self._stream = None
        await self._audio.stop()
        await self._send(SynthesizeStopped())

    async def _speak_part(self, stream: _Stream, text: str) -> None:
        try:
            job = await self._submit(replace(stream.request, text=text))
        except BadText as error:
            stream.unspeakable = error
            return
        if stream.spoken:
            await self._audio.pause(max(pauses.by_punctuation(stream.spoken), pauses.SENTENCE))
        stream.spoken = text
        await self._play(job)

    # speech

    async def _submit(self, request: SpeechRequest) -> Job:
        loop = asyncio.get_running_loop()
        submitting = loop.run_in_executor(None, self._studio.submit, request)
        try:
            return await asyncio.shield(submitting)
        except asyncio.CancelledError:
            submitting.add_done_callback(_cancel_job)
            raise

    async def _play(self, job: Job) -> None:
        pipe = BytePipe()
        thread = threading.Thread(target=pump, args=(job, FORMATS["pcm"], pipe), daemon=True)
        thread.name = f"wyoming-{job.id}"
        thread.start()
        try:
            block = await pipe.get()
            while block:
                await self._audio.send(block)
                block = await pipe.get(gather=True)
        finally:
            pipe.leave()
            job.cancel()

    # out

    async def _send(self, event: Eventable) -> None:
        with anyio.fail_after(PATIENCE):
            await async_write_event(event.event(), self._writer)

    async def _tell(self, failed: BaseException) -> None:
        if not isinstance(failed, VivavoceError):
            log.error("a conversation broke", exc_info=failed)
            failed = EngineFailure("Something broke in the server.", "", "Its log says what.")
        elif not isinstance(failed, Cancelled):
            log.debug("%s", failed)
        told = error_object(failed, shared=self._studio.settings.shared)
        with contextlib.suppress(OSError, RuntimeError):
            await self._send(Error(told["message"], told["code"]))
            # closed with something unread, the connection would swallow what was just written
            self._writer.write_eof()
            with anyio.move_on_after(LINGER):
                while await self._reader.read(64 * 1024):
                    pass


def _cancel_job(submitting: asyncio.Future[Job]) -> None:
    if submitting.exception() is None:
        submitting.result().cancel()
