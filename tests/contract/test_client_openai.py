"""What OpenAI's package does beyond speaking: keys, deadlines, leaving, asyncio. Speech itself is
in test_http_openai.py."""

from __future__ import annotations

import asyncio
import json
import threading

import openai
import pytest

from studio.settings import Settings
from studio.studio import Studio
from tests import fakes
from tests.contract.conftest import KEY
from tests.servers import served, wait_until

WORDS = "One two three four five six seven eight."


def client_of(base: str, key: str = KEY, **more) -> openai.OpenAI:
    return openai.OpenAI(base_url=base, api_key=key, max_retries=0, **more)


def test_its_key_opens(locked) -> None:
    with client_of(f"{locked[0].url}/v1") as client:
        assert client.audio.speech.create(input="Yes.", model="tts-1", voice="alloy").content
        assert "tts-1" in [model.id for model in client.models.list()]


def test_another_key_does_not(locked) -> None:
    with client_of(f"{locked[0].url}/v1", "sk-wrong") as client:
        with pytest.raises(openai.AuthenticationError) as caught:
            client.audio.speech.create(input="Yes.", model="tts-1", voice="alloy")
        assert caught.value.code == "invalid_api_key"
        with pytest.raises(openai.AuthenticationError):
            client.models.list()


@pytest.fixture
def tone(monkeypatch):
    return fakes.install(monkeypatch)


@pytest.fixture
def studio(tone, tmp_path) -> Studio:
    return Studio(Settings(data_dir=tmp_path, shared=False))


@pytest.fixture
def base(studio):
    with served(studio) as url:
        yield f"{url}/v1"


def speech(client, text: str = WORDS, **more):
    return client.audio.speech.with_streaming_response.create(
        input=text, model="tone", voice="sine", **{"response_format": "pcm", **more}
    )


def test_a_timeout_stops_the_work(tone, studio, base) -> None:
    tone.gate = threading.Event()
    with (
        client_of(base, timeout=1) as client,
        pytest.raises(openai.APITimeoutError),
        speech(client),
    ):
        pass
    wait_until(lambda: not studio.jobs(), "the engine is let go")
    assert tone.chunks == 0


def test_leaving_a_stream_stops_the_work(tone, studio, base) -> None:
    with client_of(base) as client, speech(client, f"{WORDS} " * 2000) as stream:
        assert next(stream.iter_bytes(1000))
    wait_until(lambda: not studio.jobs(), "the engine is let go")
    assert 0 < tone.chunks < 8 * 2000
    with client_of(base) as client, speech(client, "One.") as stream:
        assert stream.read(), "and there is room for others"


def test_retries_are_not_asked_for_what_stays_wrong(tone, base) -> None:
    tone.failure = RuntimeError("out of tune")
    with (
        openai.OpenAI(base_url=base, api_key="none", max_retries=2) as client,
        pytest.raises(openai.BadRequestError),
    ):
        client.audio.speech.create(input="", model="tone", voice="sine")
    assert tone.left == 0


def test_asyncio_streams_at_once(base) -> None:
    async def heard(client: openai.AsyncOpenAI, text: str) -> int:
        async with speech(client, text) as stream:
            return sum([len(part) async for part in stream.iter_bytes()])

    async def all_of_them() -> list[int]:
        async with openai.AsyncOpenAI(base_url=base, api_key="none") as client:
            return await asyncio.gather(*(heard(client, "One. " * n) for n in (1, 2, 3, 4)))

    lengths = asyncio.run(all_of_them())
    assert lengths == sorted(lengths) and lengths[0] > 1000


def test_events_as_asyncio_reads_them(base) -> None:
    async def read() -> list[dict]:
        async with (
            openai.AsyncOpenAI(base_url=base, api_key="none") as client,
            speech(client, stream_format="sse") as stream,
        ):
            lines = [line async for line in stream.iter_lines() if line]
        return [json.loads(line.removeprefix("data: ")) for line in lines]

    events = asyncio.run(read())
    assert {event["type"] for event in events[:-1]} == {"speech.audio.delta"}
    assert events[-1]["type"] == "speech.audio.done"


def test_an_asyncio_task_that_is_cancelled_stops_the_work(tone, studio, base) -> None:
    tone.gate = threading.Event()

    async def leave() -> None:
        async with openai.AsyncOpenAI(base_url=base, api_key="none", max_retries=0) as client:
            asking = asyncio.create_task(
                client.audio.speech.create(input=WORDS, model="tone", voice="sine")
            )
            await asyncio.to_thread(wait_until, studio.jobs, "the engine is at work")
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking

    asyncio.run(leave())
    wait_until(lambda: not studio.jobs(), "the engine is let go")
