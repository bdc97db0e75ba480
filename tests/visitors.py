"""Clients of every dialect and manner, good and bad, for tests under load."""

from __future__ import annotations

import contextlib
import json
import random
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import httpx
from gradio_client import Client
from wyoming.event import Event, Eventable, read_event, write_event
from wyoming.info import Describe, Info
from wyoming.tts import (
    Synthesize,
    SynthesizeChunk,
    SynthesizeStart,
    SynthesizeStop,
    SynthesizeVoice,
)

from server.answers import ErrorAnswer
from tests.servers import ServerProcess

SPEECH = "/v1/audio/speech"
SHORT = ("Yes.", "The birch canoe slid.", "Glue the sheet to 3 blue boards.", "שלום עולם.")
LONG = "It's easy to tell the depth of a well. " * 400
FIRST_BYTES = {
    "mp3": (b"ID3", b"\xff"),
    "opus": (b"OggS",),
    "aac": (b"ID3", b"\xff"),
    "flac": (b"fLaC",),
    "wav": (b"RIFF",),
    "pcm": (b"",),
}
INVALID = (
    b"",
    b"[1, 2",
    b'{"input": ""}',
    b'{"input": "\\ud800"}',
    b'{"input": "\xf0\x9f\x98\x80"}',
    b'{"input": "a", "speed": NaN}',
    b'{"input": "a", "voice": "nope"}',
    b'{"input": "a", "model": "nope"}',
    b'{"input": "a", "device": "cuda:9"}',
    b'{"input": "a", "response_format": "exe"}',
    b'{"input": "a", "seed": "x"}',
    b'{"input": "' + b"x" * 5_000_000 + b'"}',
)
PAGES = (
    "/healthz", "/readyz", "/v1/models", "/v1/audio/voices?language=de", "/v1/engines",
    "/v1/nothing", "/metrics", "/v1/devices", "/audio/models", "/languages", "/speakers",
)  # fmt: skip
GARBAGE = (
    b"GET / HTTP/1.1\r\n\r\n",
    b"[]\n",
    b"x" * 100_000,
    b'{"type": "synthesize", "data": {"text": 5}}\n',
    b'{"type": "synthesize", "data_length": 999999999}\n',
    b'{"type": "synthesize", "data": {"text": "a", "voice": {"name": "nope"}}}\n',
    b'{"type": "synthesize-stop"}\n',
)
PATIENCE = 60.0
BUSY = {200, 429}  # the queue may be full

Manner = Callable[[random.Random], object]


class Visitor:
    """One of them at a time, by one thread. Each manner raises where an answer is malformed.

    Args:
        wyoming: the port of the Wyoming server.
        folder: for files that it fetches.
    """

    def __init__(self, server: ServerProcess, wyoming: int, folder: Path) -> None:
        self._port = server.port
        self._wyoming = wyoming
        self._http = httpx.Client(base_url=server.url, timeout=PATIENCE)
        self._gradio = Client(server.url, download_files=str(folder), verbose=False)
        self.manners: dict[Manner, int] = {
            self.listens: 28, self.reads_events: 6, self.errs: 15, self.looks_around: 10,
            self.leaves_midway: 6, self.leaves_at_once: 3, self.leaves_in_its_own_words: 3,
            self.tavern_speaks: 7, self.tavern_streams: 5, self.tavern_sets_up: 3,
            self.tavern_errs: 2,
            self.home_speaks: 4, self.home_streams: 3, self.home_describes: 2,
            self.home_errs: 2, self.home_leaves: 2,
            self.gradio_speaks: 2, self.gradio_errs: 1, self.gradio_looks_around: 1,
        }  # fmt: skip

    def visit(self, dice: random.Random) -> str:
        [manner] = dice.choices(list(self.manners), list(self.manners.values()))
        return f"{manner.__name__} {manner(dice)}"

    def close(self) -> None:
        self._http.close()
        self._gradio.close()

    # OpenAI's, and no dialect at all

    def listens(self, dice: random.Random) -> int:
        name = dice.choice(list(FIRST_BYTES))
        body = {"input": dice.choice(SHORT), "response_format": name, "seed": dice.randrange(99)}
        path = dice.choice([SPEECH, "/audio/speech"])
        answer = self._http.post(path, json={**body, "voice": dice.choice(["alloy", "clara"])})
        if answer.status_code == 200:
            assert answer.content.startswith(FIRST_BYTES[name])
            assert len(answer.content) > 500
            assert answer.headers["x-vivavoce-seed"] == str(body["seed"])
        return self._checked(answer, BUSY)

    def reads_events(self, dice: random.Random) -> int:
        answer = self._http.post(SPEECH, json={"input": dice.choice(SHORT), "stream_format": "sse"})
        if answer.status_code == 200:
            events = [json.loads(e.removeprefix("data: ")) for e in answer.text.split("\n\n")[:-1]]
            kinds = [event["type"] for event in events]
            assert set(kinds[:-1]) == {"speech.audio.delta"}
            assert kinds[-1] == "speech.audio.done"
        return self._checked(answer, BUSY)

    def errs(self, dice: random.Random) -> int:
        headers = {"Content-Type": "application/json"}
        answer = self._http.post(SPEECH, content=dice.choice(INVALID), headers=headers)
        return self._checked(answer, {400, 413})

    def looks_around(self, dice: random.Random) -> int:
        return self._checked(self._http.get(dice.choice(PAGES)), {200, 404})

    def leaves_midway(self, dice: random.Random) -> int:
        body = {
            "input": LONG,
            "response_format": dice.choice(list(FIRST_BYTES)),
            "stream_format": dice.choice(["audio", "sse"]),
        }
        with self._http.stream("POST", SPEECH, json=body) as answer:
            if answer.status_code == 200:
                assert next(answer.iter_raw())
                return 200
            answer.read()
            return self._checked(answer, {429})

    def leaves_at_once(self, dice: random.Random) -> None:
        self._send(dice.choice([SPEECH, "/tts_to_audio/"]), None)

    def leaves_in_its_own_words(self, dice: random.Random) -> None:
        self._send(SPEECH, dice.randrange(100))

    def _send(self, path: str, size: int | None) -> None:
        """A request of which no more than `size` bytes of the body come."""
        body = json.dumps({"text" if path != SPEECH else "input": LONG}).encode()
        with socket.create_connection(("127.0.0.1", self._port), timeout=PATIENCE) as connection:
            connection.sendall(
                f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\n\r\n".encode()
                + body[:size]
            )

    def _checked(self, answer: httpx.Response, statuses: set[int]) -> int:
        assert answer.status_code in statuses, answer.text[:500]
        if answer.status_code >= 400:
            ErrorAnswer.model_validate(answer.json())
        return answer.status_code

    # SillyTavern's XTTS

    def tavern_speaks(self, dice: random.Random) -> int:
        body = {"text": dice.choice(SHORT), "speaker_wav": dice.choice(["Clara", "Lena", "de"])}
        answer = self._http.post("/tts_to_audio/", json={**body, "language": "en"})
        return self._tavern(answer)

    def tavern_streams(self, dice: random.Random) -> int:
        question = {"text": dice.choice(SHORT), "speaker_wav": "Henry", "language": "en"}
        return self._tavern(self._http.get("/tts_stream/", params=question))

    def tavern_sets_up(self, dice: random.Random) -> int:
        sliders = {"speed": dice.choice([0.5, 1, 2]), "temperature": 0.75, "top_k": 50}
        answer = self._http.post("/set_tts_settings", json=sliders)
        assert answer.status_code == 200, answer.text
        return answer.status_code

    def tavern_errs(self, dice: random.Random) -> int:
        bad = dice.choice([{}, {"text": ""}, {"text": "a", "speaker_wav": "nope"}, {"text": 5}])
        answer = self._http.post("/tts_to_audio/", json=bad)
        assert answer.status_code == 400 and answer.json()["detail"]
        return answer.status_code

    def _tavern(self, answer: httpx.Response) -> int:
        assert answer.status_code in BUSY, answer.text[:500]
        if answer.status_code == 200:
            assert answer.content.startswith(b"RIFF") and len(answer.content) > 2000
        else:
            assert answer.json()["detail"]
        return answer.status_code

    # Home Assistant's Wyoming

    def home_speaks(self, dice: random.Random) -> str:
        voice = SynthesizeVoice(dice.choice(["clara", "lena"]))
        return self._home(Synthesize(dice.choice(SHORT), voice), last="audio-stop")

    def home_streams(self, dice: random.Random) -> str:
        words = " ".join(dice.choices(SHORT, k=3)).split(" ")
        chunks = [SynthesizeChunk(f"{word} ") for word in words]
        events = (SynthesizeStart(), *chunks, SynthesizeStop())
        return self._home(*events, last="synthesize-stopped")

    def home_describes(self, _dice: random.Random) -> str:
        return self._home(Describe(), last="info")

    def home_errs(self, dice: random.Random) -> str:
        return self._home(dice.choice(GARBAGE), last="error")

    def home_leaves(self, dice: random.Random) -> None:
        with self._connected() as (_, file):
            write_event(Synthesize(LONG).event(), file)
            if dice.random() < 0.5:
                assert read_event(file) is not None

    @contextlib.contextmanager
    def _connected(self) -> Iterator[tuple[socket.socket, BinaryIO]]:
        with (
            socket.create_connection(("127.0.0.1", self._wyoming), timeout=PATIENCE) as wire,
            wire.makefile("rwb") as file,
        ):
            yield wire, file

    def _home(self, *sent: Eventable | bytes, last: str) -> str:
        """Send events and read what comes back, up to an event of the kind `last`."""
        events: list[Event] = []
        with self._connected() as (wire, file):
            for each in sent:
                if isinstance(each, bytes):
                    wire.sendall(each)
                else:
                    write_event(each.event(), file)
            while (answer := read_event(file)) is not None:
                events.append(answer)
                if answer.type in (last, "error"):
                    break
        kind = events[-1].type
        if kind == "error" and last != "error":
            assert events[-1].data["code"] == "queue_full", events[-1].data
        elif last == "info":
            assert len(Info.from_event(events[-1]).tts[0].voices) > 100
        elif last != "error":
            sound = sum(len(e.payload or b"") for e in events if e.type == "audio-chunk")
            assert kind == last and sound > 1000
        return kind

    # gradio_client

    def gradio_speaks(self, dice: random.Random) -> str:
        path = Path(self._gradio.predict(dice.choice(SHORT), "clara", api_name="/speak"))
        assert path.read_bytes().startswith(FIRST_BYTES["mp3"])
        path.unlink()
        return "spoken"

    def gradio_errs(self, _dice: random.Random) -> str:
        try:
            self._gradio.predict("a", "nope", api_name="/speak")
        except Exception as error:
            assert "'nope'" in str(error)
        return "told"

    def gradio_looks_around(self, _dice: random.Random) -> str:
        assert self._gradio.predict(api_name="/engines")[0]["name"] == "espeak"
        return "seen"
