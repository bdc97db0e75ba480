"""The Wyoming server with an engine that waits and with small limits; its flag."""

from __future__ import annotations

import asyncio
import socket
import threading

import pytest
from wyoming.audio import AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.error import Error
from wyoming.event import Event
from wyoming.info import Describe, Info
from wyoming.ping import Ping
from wyoming.tts import (
    Synthesize,
    SynthesizeChunk,
    SynthesizeStart,
    SynthesizeStopped,
    SynthesizeVoice,
)

from commands import wyoming
from server.errors import AddressInUse
from server.wyoming import conversation, inbox
from server.wyoming import server as wyoming_server
from server.wyoming.server import listening
from studio.settings import Settings
from studio.studio import Studio
from tests import fakes
from tests.servers import free_port, wait_until
from tests.wyoming_talk import error_of, header, pcm_of, send, spoken, talk, until


@pytest.fixture
def tone(monkeypatch):
    engine = fakes.install(monkeypatch)
    engine.gate = threading.Event()
    return engine


@pytest.fixture
def studio(tone, tmp_path):
    studio = Studio(Settings(data_dir=tmp_path, shared=False, max_chars=100))
    yield studio
    studio.close()


SINE = SynthesizeVoice("sine")


def test_a_client_that_leaves_stops_the_work(tone, studio) -> None:
    async def leave(client: AsyncTcpClient) -> None:
        await send(client, Synthesize("One two three.", SINE))
        await asyncio.to_thread(wait_until, studio.jobs, "the engine is at work")

    with listening(studio, "127.0.0.1", 0) as port:
        talk(port, leave)
        wait_until(lambda: not studio.jobs(), "the engine is let go")
    assert tone.chunks == 0


def test_the_end_of_the_server_ends_what_it_does(tone, studio) -> None:
    async def ask(client: AsyncTcpClient) -> Event | None:
        await send(client, Synthesize("One two three.", SINE))
        await asyncio.to_thread(wait_until, studio.jobs, "the engine is at work")
        await asyncio.to_thread(stop.__exit__, None, None, None)
        return await client.read_event()

    stop = listening(studio, "127.0.0.1", 0)
    assert talk(stop.__enter__(), ask) is None
    wait_until(lambda: not studio.jobs(), "the engine is let go")
    assert not [t for t in threading.enumerate() if t.name.startswith("wyoming")]


def test_an_engine_that_breaks_is_told(tone, studio) -> None:
    tone.gate.set()
    tone.failure = RuntimeError("out of tune")
    with listening(studio, "127.0.0.1", 0) as port:
        events = talk(port, spoken("One two.", SINE))
    assert error_of(events).code == "engine_failure"
    assert not any(AudioStop.is_type(event.type) for event in events), "a part is not the whole"


def test_a_stream_may_be_no_longer_than_a_text(studio) -> None:
    async def ask(client: AsyncTcpClient) -> list[Event]:
        await send(client, SynthesizeStart(SINE), *[SynthesizeChunk("word " * 7)] * 3)
        return await until(client, SynthesizeStopped)

    with listening(studio, "127.0.0.1", 0) as port:
        assert error_of(talk(port, ask)).code == "request_too_large"


def test_what_is_sent_ahead_waits_within_bounds(tone, studio, monkeypatch) -> None:
    monkeypatch.setattr(inbox, "WAITING_BYTES", 4096)

    async def ask(client: AsyncTcpClient) -> int:
        await send(client, Synthesize("One.", SINE))
        for number in range(50):
            await send(client, Ping(str(number)))
        tone.gate.set()
        events = await until(client, AudioStop)
        assert pcm_of(events)
        return len([await client.read_event() for _ in range(50)])

    with listening(studio, "127.0.0.1", 0) as port:
        assert talk(port, ask) == 50


def test_no_more_clients_than_fit(tone, studio, monkeypatch) -> None:
    monkeypatch.setattr(wyoming_server.WyomingServer.__init__, "__defaults__", (2,))

    async def ask(client: AsyncTcpClient) -> Event | None:
        await send(client, Describe())
        return await client.read_event()

    with listening(studio, "127.0.0.1", 0) as port:
        address = ("127.0.0.1", port)
        with socket.create_connection(address) as one, socket.create_connection(address) as two:
            for wire in (one, two):
                wire.sendall(header(type="ping"))
                assert wire.recv(1000)
            refused = talk(port, ask)
            assert Error.from_event(refused).code == "queue_full"
        wait_until(lambda: Info.is_type(talk(port, ask).type), "there is room again")


def test_a_silent_client_is_let_go_but_not_while_it_waits(tone, studio, monkeypatch) -> None:
    monkeypatch.setattr(conversation, "IDLE", 0.2)

    async def ask(client: AsyncTcpClient) -> list[Event]:
        await send(client, Synthesize("One.", SINE))
        await asyncio.sleep(0.6)
        tone.gate.set()
        return await until(client, SynthesizeStopped)

    with listening(studio, "127.0.0.1", 0) as port:
        events = talk(port, ask)
    assert events[-1].type == "audio-stop", "then it fell silent, and the connection was closed"


def test_an_address_that_is_taken(studio) -> None:
    with (
        listening(studio, "127.0.0.1", 0) as port,
        pytest.raises(AddressInUse, match="--wyoming"),
        listening(studio, "127.0.0.1", port),
    ):
        pass


# the flag


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("127.0.0.1:10300", ("127.0.0.1", 10300)),
        ("127.0.0.1", ("127.0.0.1", 10200)),
        (":10200", ("0.0.0.0", 10200)),
        ("[::1]", ("::1", 10200)),
        ("[::1]:10201", ("::1", 10201)),
    ],
)
def test_the_address_in_the_flag(given, meant) -> None:
    assert wyoming.address(given) == meant


@pytest.mark.parametrize(
    ("host", "warns"), [("0.0.0.0", True), ("127.0.0.1", False), ("localhost", False)]
)
def test_an_open_address_is_warned_of(studio, host, warns, capsys) -> None:
    arguments = type("Arguments", (), {"wyoming": wyoming.address(f"{host}:{free_port()}")})
    with wyoming.listening(studio, arguments):
        said = capsys.readouterr().out
    assert ("no password" in said) is warns


def test_without_the_flag_nothing_listens(studio, capsys) -> None:
    with wyoming.listening(studio, type("Arguments", (), {"wyoming": None})):
        assert not [t for t in threading.enumerate() if t.name == "wyoming"]
    assert capsys.readouterr().out == ""
