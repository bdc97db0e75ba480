"""An answer of speech that is sent once it is complete: with its true length, and with an ordinary
error wherever it fails."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import anyio
from anyio import CapacityLimiter, to_thread
from starlette.types import Receive, Scope, Send

from engines.errors import StorageError
from server.pipe import PATIENCE
from server.streaming import SpeechResponse
from studio.encode import Format, StreamEncoder, Tags
from studio.jobs import Job, Sound

BLOCK = 256 * 1024  # bytes sent at a time


class WholeSpeech(SpeechResponse):
    """Speaks a request into a nameless file of the cache folder, then sends that."""

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        arrived = time.monotonic()
        context = self._context
        context.raise_if_stopping()
        with context.slots.taken():
            job = await self._submit()
            watch = asyncio.create_task(_watch(receive, job))
            try:
                folder = context.settings.cache_dir
                # a thread of its own: those of the pool must not all wait for speech
                with await to_thread.run_sync(
                    _spoken, job, self._format, folder, limiter=CapacityLimiter(1)
                ) as file:
                    context.traffic.first_audio(time.monotonic() - arrived)
                    await self._send_file(file, job, send)
            finally:
                watch.cancel()
                job.cancel()

    async def _send_file(self, file: IO[bytes], job: Job, send: Send) -> None:
        length = str(file.seek(0, os.SEEK_END)).encode("ascii")
        file.seek(0)
        headers = [*self._start_headers(job), (b"content-length", length)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        while block := file.read(BLOCK):
            with anyio.fail_after(PATIENCE):
                await send({"type": "http.response.body", "body": block, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _spoken(job: Job, fmt: Format, folder: Path) -> IO[bytes]:
    """The job's whole sound, encoded. The file is gone as soon as it is closed.

    Raises:
        VivavoceError: the job did not end well, or the disk is full.
    """
    tags = Tags(job.plan.text, job.plan.engine, job.plan.voice.id)
    try:
        file = TemporaryFile(dir=folder)  # noqa: SIM115  # handed on
        try:
            with StreamEncoder(fmt, job.sample_rate, tags, streaming=False) as encoder:
                for event in job.events():
                    if isinstance(event, Sound):
                        file.write(encoder.feed(event.samples))
                file.write(encoder.close())
                for offset, data in encoder.patches:
                    file.seek(offset)
                    file.write(data)
        except BaseException:
            file.close()
            raise
    except OSError as error:
        raise StorageError(
            f"The speech could not be kept in {str(folder)!r} ({error.strerror or error}).",
            "It is written there before it is sent.",
            "Free some space, or ask for it as a stream.",
        ) from error
    return file


async def _watch(receive: Receive, job: Job) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    job.cancel()
