"""What Home Assistant's Wyoming integration sends, with the protocol's own client classes."""

from __future__ import annotations

import asyncio
import json
import socket

import pytest
from wyoming.audio import AudioStart
from wyoming.client import AsyncTcpClient
from wyoming.event import Event
from wyoming.info import Describe, Info
from wyoming.ping import Ping, Pong
from wyoming.tts import (
    Synthesize,
    SynthesizeChunk,
    SynthesizeStart,
    SynthesizeStop,
    SynthesizeStopped,
    SynthesizeVoice,
)

from tests.servers import is_ready
from tests.wyoming_talk import PATIENCE, RATE, error_of, header, pcm_of, send, spoken, talk, until

TEXT = "The birch canoe slid on the smooth planks."


@pytest.fixture(scope="module")
def port(locked):
    """Of the whole program's Wyoming server."""
    server, port = locked
    yield port
    assert is_ready(server.url)
    log = server.log.read_text("utf-8")
    assert f"Wyoming: 127.0.0.1:{port}" in log
    assert "no password" not in log, "nobody else can reach it"
    assert "Traceback" not in log, log[-3000:]


def test_describe(port) -> None:
    async def ask(client: AsyncTcpClient) -> Event | None:
        await send(client, Describe())
        # Home Assistant waits no longer than a second
        return await asyncio.wait_for(client.read_event(), 1)

    talk(port, ask)  # the first one ever loads the list
    info = Info.from_event(talk(port, ask))
    [program] = info.tts
    assert program.installed and program.supports_synthesize_streaming
    assert program.attribution.name == "Vivavoce"
    voices = {voice.name: voice for voice in program.voices}
    assert len(voices) == len(program.voices) > 100
    assert voices["clara"].description == "Clara"
    assert voices["clara"].languages == ["en-US"]
    assert "GPL" in voices["clara"].attribution.name
    assert voices["mei"].languages == ["zh"]
    assert all(voice.installed and voice.languages for voice in voices.values())
    tags = {tag for voice in voices.values() for tag in voice.languages}
    assert {"de", "fr-FR", "es-419", "nb"} <= tags
    assert not any("-x-" in tag for tag in tags)


def test_synthesize(port) -> None:
    events = talk(port, spoken(TEXT, SynthesizeVoice("clara")))
    assert [events[0].type, events[-1].type] == ["audio-start", "audio-stop"]
    start = AudioStart.from_event(events[0])
    assert (start.rate, start.width, start.channels) == (RATE, 2, 1)
    pcm = pcm_of(events)
    assert 1.5 < len(pcm) / 2 / RATE < 6
    assert max(pcm[1::2]) > 5, "it sounds"
    assert pcm_of(talk(port, spoken(TEXT))), "Home Assistant gives no voice where none is chosen"


def test_a_language_alone_chooses_the_voice(port) -> None:
    german, english = (
        pcm_of(talk(port, spoken("Guten Tag.", SynthesizeVoice(language=language))))
        for language in ("de", "en_US")
    )
    assert abs(len(german) - len(english)) > 500, "read by another voice it takes another time"


def test_streaming_as_home_assistant_does(port) -> None:
    words = [f"{word} " for word in f"{TEXT} Glue the sheet to the blue background.".split()]

    async def ask(client: AsyncTcpClient) -> list[Event]:
        voice = SynthesizeVoice("clara")
        await send(client, SynthesizeStart(voice), *(SynthesizeChunk(word) for word in words))
        # for servers that cannot stream it sends the whole text, too
        await send(client, Synthesize("".join(words), voice), SynthesizeStop())
        return await until(client, SynthesizeStopped)

    events = talk(port, ask)
    kinds = [event.type for event in events]
    assert kinds[0] == "audio-start" and kinds[-2:] == ["audio-stop", "synthesize-stopped"]
    assert kinds.count("audio-start") == kinds.count("audio-stop") == 1
    whole = pcm_of(talk(port, spoken("".join(words), SynthesizeVoice("clara"))))
    assert len(pcm_of(events)) == pytest.approx(len(whole), rel=0.15), "and speaks it once"


def test_a_sentence_sounds_while_the_next_is_being_written(port) -> None:
    async def ask(client: AsyncTcpClient) -> None:
        await send(client, SynthesizeStart(SynthesizeVoice("clara")))
        await send(client, *(SynthesizeChunk(f"{word} ") for word in f"{TEXT} And".split()))
        first = await client.read_event()
        assert first is not None and AudioStart.is_type(first.type)
        await send(client, SynthesizeChunk("this is the end."), SynthesizeStop())
        events = await until(client, SynthesizeStopped)
        assert len(pcm_of(events)) > 4 * RATE

    talk(port, ask)


def test_a_stream_with_the_whole_text_alone(port) -> None:
    async def ask(client: AsyncTcpClient) -> list[Event]:
        await send(client, SynthesizeStart(), Synthesize(TEXT), SynthesizeStop())
        return await until(client, SynthesizeStopped)

    assert len(pcm_of(talk(port, ask))) > 3 * RATE


def test_nothing_to_say_in_a_stream(port) -> None:
    async def ask(client: AsyncTcpClient, *parts: str) -> list[Event]:
        chunks = [SynthesizeChunk(part) for part in parts]
        await send(client, SynthesizeStart(), *chunks, SynthesizeStop())
        return await until(client, SynthesizeStopped)

    assert [event.type for event in talk(port, ask)] == ["synthesize-stopped"]
    assert [e.type for e in talk(port, lambda c: ask(c, " ", "\n"))] == ["synthesize-stopped"]
    emoji = talk(port, lambda c: ask(c, "\N{GRINNING FACE}"))
    assert error_of(emoji).code == "bad_text"
    both = talk(port, lambda c: ask(c, "\N{GRINNING FACE} ", "Good morning. ", "\N{GRINNING FACE}"))
    assert len(pcm_of(both)) > RATE
    assert both[-1].type == "synthesize-stopped"


def test_several_requests_on_one_connection(port) -> None:
    async def ask(client: AsyncTcpClient) -> None:
        for _ in range(3):
            await client.write_event(Event("of-a-later-version", {"x": 1}))
            await send(client, Ping("a"), Describe())
            pong = await client.read_event()
            assert pong is not None and Pong.from_event(pong).text == "a"
            info = await client.read_event()
            assert info is not None and Info.is_type(info.type)
            assert pcm_of(await spoken("Yes.")(client))

    talk(port, ask)


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (Synthesize("", None), "bad_text"),
        (Synthesize(TEXT, SynthesizeVoice("nobody")), "unknown_voice"),
        (Synthesize(TEXT, SynthesizeVoice("clara", speaker="twin")), "unknown_voice"),
        (Synthesize(TEXT, SynthesizeVoice(language="xx")), "unknown_language"),
        (Synthesize("<speak>a</speak>", text_format="ssml"), "bad_event"),
        (Synthesize("Wait. [pause forever]"), "bad_text"),
        (SynthesizeStart(SynthesizeVoice("nobody")), "unknown_voice"),
        (SynthesizeChunk("alone"), "bad_event"),
        (SynthesizeStop(), "bad_event"),
        (Synthesize("a" * 1_000_001), "bad_text"),
    ],
)
def test_an_error_is_told_and_ends_the_connection(port, request_, code) -> None:
    async def ask(client: AsyncTcpClient) -> list[Event]:
        await send(client, request_)
        return await until(client, SynthesizeStopped)

    error = error_of(talk(port, ask))
    assert error.code == code
    assert len(error.text) > 20


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n",
        b"\n",
        b"null\n",
        b"[1, 2]\n",
        b'{"type": 5}\n',
        b'{"type": "describe"\n',
        b"{" * 60_000 + b"\n",
        b"x" * 300_000,
        b'{"type": "synthesize", "data": {"text": "\\ud800"}}\n',
        header(type="synthesize", data=[1]),
        header(type="synthesize", data={"text": None}),
        header(type="synthesize", data={"text": "a", "voice": "clara"}),
        header(type="synthesize", data={"text": "a", "voice": {"name": 5}}),
        header(type="synthesize", data_length="9"),
        header(type="synthesize", data_length=-1),
        header(type="synthesize", data_length=10**12),
        header(type="describe", payload_length=10**12),
        header(type="synthesize", data_length=3) + b"abc",
        header(type="synthesize-start") * 2,
    ],
    ids=lambda garbage: garbage[:24],
)
def test_garbage_is_answered_with_an_error(port, garbage) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as wire:
        wire.sendall(garbage)
        answer = b""
        while part := wire.recv(65536):
            answer += part
    told, data = answer.split(b"\n", 1)
    assert json.loads(told)["type"] == "error"
    assert json.loads(data)["code"] in ("bad_event", "request_too_large")


@pytest.mark.parametrize(
    "beginning",
    [b"", b'{"type": "synth', header(type="synthesize", data_length=100) + b'{"text": "a'],
)
def test_a_client_that_leaves_midway_is_no_trouble(port, beginning) -> None:
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as wire:
            wire.sendall(beginning)
    assert pcm_of(talk(port, spoken("Still here.")))


def test_a_payload_is_skipped(port) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as wire:
        wire.sendall(header(type="audio-chunk", payload_length=200_000) + bytes(200_000))
        wire.sendall(header(type="ping", data={"text": "b"}))
        assert b'"pong"' in wire.recv(65536)
