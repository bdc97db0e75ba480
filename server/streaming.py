"""An answer of speech: sent while it is made, stopped when the client leaves."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import math
import threading
import time
from typing import Any

import anyio
from anyio import to_thread
from fastapi import Response
from starlette.types import Receive, Scope, Send

from engines.api import SpeechRequest
from engines.errors import Cancelled, EngineFailure, VivavoceError
from server.context import ServerContext
from server.errors import error_object, header_text
from server.pipe import PATIENCE, BytePipe
from studio.encode import Format, StreamEncoder, Tags
from studio.jobs import Job, Sound

log = logging.getLogger("vivavoce.server")

# what the studio calls a field → what the body calls it
FIELD_NAMES: dict[str | None, str] = {"text": "input", "engine": "model"}
DELTA_BYTES = 24 * 1024  # a multiple of 3, so that base64 needs no padding in between
NOTE_LENGTH = 1000  # characters; proxies refuse long headers
PCM_RATE = 24_000  # Hz; OpenAI's clients count on it where no header can tell
TOKENS_A_SECOND = 20  # as OpenAI's speech models count sound


class SpeechResponse(Response):
    """Speaks a request into the connection.

    Nothing is sent before there is sound, so that whatever fails until then is an ordinary error.
    What fails later breaks the connection (audio) or becomes an event (sse): a part must not look
    like the whole.

    Args:
        notes: what the client should know about its request, beside what the studio says.
    """

    def __init__(
        self,
        context: ServerContext,
        request: SpeechRequest,
        fmt: Format,
        *,
        sse: bool,
        notes: tuple[str, ...] = (),
    ) -> None:
        super().__init__()
        self._context = context
        self._request = request
        self._format = fmt
        self._sse = sse
        self._notes = notes

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        arrived = time.monotonic()
        context = self._context
        context.raise_if_stopping()
        with context.slots.taken():
            job = await self._submit()
            pipe = BytePipe()
            watch = asyncio.create_task(_watch(receive, job, pipe))
            try:
                thread = threading.Thread(target=pump, args=(job, self._format, pipe), daemon=True)
                thread.name = f"stream-{job.id}"
                thread.start()
                first = await pipe.get()
                context.traffic.first_audio(time.monotonic() - arrived)
                await send(
                    {
                        "type": "http.response.start",
                        "status": 200,
                        "headers": self._start_headers(job),
                    }
                )
                await self._send_body(first, pipe, job, send)
            finally:
                watch.cancel()
                pipe.leave()
                job.cancel()

    async def _submit(self) -> Job:
        try:
            return await to_thread.run_sync(self._plan, limiter=self._context.planners)
        except VivavoceError as error:
            error.param = FIELD_NAMES.get(error.param, error.param)
            raise

    def _plan(self) -> Job:
        studio, request = self._context.studio, self._request
        if request.engine is not None:  # or its voice would be blamed for being another engine's
            studio.controls(request.engine)
        return studio.submit(request)

    def _start_headers(self, job: Job) -> list[tuple[bytes, bytes]]:
        plan = job.plan
        values = {
            "Content-Type": "text/event-stream; charset=utf-8" if self._sse else self._format.mime,
            "Cache-Control": "no-store",
            "X-Accel-Buffering": "no",  # a proxy must not wait for the whole
            "X-Vivavoce-Synthetic": "true",
            "X-Vivavoce-Job": job.id,
            "X-Vivavoce-Engine": plan.engine,
            "X-Vivavoce-Voice": plan.voice.id,
            "X-Vivavoce-Language": plan.language,
            "X-Vivavoce-Device": plan.device,
            "X-Vivavoce-Seed": str(plan.seed),
            "X-Vivavoce-Sample-Rate": str(output_rate(self._format, job)),
        }
        if not self._sse:
            file = f"speech-{job.id}.{self._format.extension}"
            values["Content-Disposition"] = f'inline; filename="{file}"'
        if job.made_voice:
            values["X-Vivavoce-Made-Voice"] = job.made_voice
        if notes := (*self._notes, *plan.notes):
            values["X-Vivavoce-Note"] = " ".join(notes)[:NOTE_LENGTH]
        return [
            (name.lower().encode("ascii"), header_text(value).encode("ascii"))
            for name, value in values.items()
        ]

    async def _send_body(self, block: bytes, pipe: BytePipe, job: Job, send: Send) -> None:
        """Send block after block; returns without the last message where speech broke off, upon
        which the server breaks the connection."""
        last = b""
        try:
            while block:
                with anyio.fail_after(PATIENCE):  # a client may stop reading and yet stay
                    await send(_body(_deltas(block) if self._sse else block, more=True))
                block = await pipe.get(gather=True)
            if self._sse:
                last = _done(job)
        except (VivavoceError, TimeoutError) as error:
            self._context.traffic.broken += 1
            level = logging.INFO if isinstance(error, Cancelled) else logging.WARNING
            log.log(level, "job %s broke off: %s", job.id, error)
            if not self._sse or not isinstance(error, VivavoceError):
                return
            body = error_object(error, shared=self._context.settings.shared)
            last = _event({"type": "error", "error": body})
        await send(_body(last, more=False))


def pump(job: Job, fmt: Format, pipe: BytePipe) -> None:
    """In a thread of its own: from the job's events through the encoder into the pipe."""
    plan = job.plan
    tags = Tags(plan.text, plan.engine, plan.voice.id)
    rate = output_rate(fmt, job)
    try:
        with StreamEncoder(fmt, job.sample_rate, tags, output_rate=rate) as encoder:
            for event in job.events():
                if isinstance(event, Sound):
                    pipe.put(encoder.feed(event.samples))
            pipe.put(encoder.close())
        pipe.end()
    except VivavoceError as error:
        pipe.end(error)
    except Exception as error:
        log.exception("job %s could not be encoded", job.id)
        pipe.end(
            EngineFailure(f"The audio could not be encoded: {error}.", "", "Take another format.")
        )


def output_rate(fmt: Format, job: Job) -> int:
    return PCM_RATE if fmt.name == "pcm" else fmt.rate_for(job.sample_rate)


async def _watch(receive: Receive, job: Job, pipe: BytePipe) -> None:
    """End the work as soon as the client leaves."""
    while (await receive())["type"] != "http.disconnect":
        pass
    job.cancel()
    pipe.leave()


def _body(data: bytes, *, more: bool) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": more}


def _event(value: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def _deltas(block: bytes) -> bytes:
    """A block as events, short enough for clients that limit the length of a line."""
    return b"".join(
        _event(
            {
                "type": "speech.audio.delta",
                "audio": base64.b64encode(block[start : start + DELTA_BYTES]).decode("ascii"),
            }
        )
        for start in range(0, len(block), DELTA_BYTES)
    )


def _done(job: Job) -> bytes:
    """Usage counts characters in and twentieths of a second out, for want of tokens."""
    given = len(job.plan.text)
    made = math.ceil(job.seconds_made * TOKENS_A_SECOND)
    usage = {"input_tokens": given, "output_tokens": made, "total_tokens": given + made}
    return _event({"type": "speech.audio.done", "usage": usage})
