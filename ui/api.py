"""Named endpoints for `gradio_client` and other programs that call a Gradio app.

They are the only ones that are shown at /gradio_api/info; what the page itself uses is private.
"""

# no postponed annotations: Gradio describes the endpoints by the types that it finds here
import contextlib
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from gradio.utils import get_upload_folder

from engines import registry
from engines.api import SpeechRequest
from engines.controls import describe
from engines.errors import InvalidRequest, StorageError, VivavoceError
from studio.encode import Tags, encode_file, format_named
from studio.jobs import Job, Sound
from studio.offered import offered, speaks
from studio.studio import Studio
from ui.owner import owner_of

AT_ONCE = 8  # calls of one endpoint; the rest of a burst waits in Gradio's queue


def build(studio: Studio, blocks: gr.Blocks) -> None:
    """Add the endpoints to `blocks`, inside its context."""
    endpoints = _Endpoints(studio, blocks.upload_file_set.add)
    for function in (endpoints.speak, endpoints.voices, endpoints.engines):
        gr.api(function, api_name=function.__name__, concurrency_limit=AT_ONCE)


class _Endpoints:
    """
    Args:
        studio: does the work.
        keep_track: told of each file, so that Gradio deletes it after some hours.
    """

    def __init__(self, studio: Studio, keep_track: Callable[[str], object]) -> None:
        self._studio = studio
        self._keep_track = keep_track

    def speak(
        self,
        visitor: gr.Request,
        text: str,
        voice: str = "",
        engine: str = "",
        language: str = "",
        seed: int | None = None,
        format: str = "mp3",
        preset: str = "",
        device: str = "",
        controls: dict[str, Any] | None = None,
    ) -> gr.FileData:
        """Speak a text; returns the sound file. What is left empty is chosen as on the page.

        Args:
            text: may hold [pause 0.5s].
            voice: an id of /voices.
            engine: a name of /engines.
            language: a BCP 47 tag such as en-US.
            seed: a whole number; the same one gives the same speech.
            format: wav, flac, mp3, opus, aac or pcm.
            preset: the id of an engine preset.
            device: such as cpu or cuda:0.
            controls: the engine's controls by name, see /engines.
        """
        given = {"voice": voice, "engine": engine, "language": language, "format": format}
        with _told():
            _check_texts({**given, "preset": preset, "device": device})
        request = SpeechRequest(
            text=text,
            engine=engine or None,
            voice=voice or None,
            language=language or None,
            device=device or None,
            controls={} if controls is None else controls,
            seed=seed,
            preset=preset or None,
            owner=owner_of(self._studio, visitor),
            door="api",
        )
        with _told():
            path = self._write(request, format)
        return gr.FileData(path=str(path), orig_name=path.name)

    def voices(
        self, visitor: gr.Request, engine: str = "", language: str = ""
    ) -> list[dict[str, Any]]:
        """The voices, ready-made ones first.

        Args:
            engine: only voices of this engine.
            language: only voices that speak it, such as de or en-US.
        """
        with _told():
            _check_texts({"engine": engine, "language": language})
            return [
                {
                    "id": voice.id,
                    "name": voice.name,
                    "engine": voice.engine,
                    "languages": list(voice.languages),
                    "gender": voice.gender,
                }
                for voice in offered(self._studio, owner_of(self._studio, visitor), engine or None)
                if not language or speaks(voice, language)
            ]

    def engines(self) -> list[dict[str, Any]]:
        """The engines with their controls."""
        return [
            {
                "name": capability.name,
                "title": capability.title,
                "default": capability.name == registry.DEFAULT_ENGINE,
                "controls": [
                    {
                        "name": spec.name,
                        "takes": spec.allowed,
                        "default": spec.default,
                        "help": spec.help,
                    }
                    for spec in describe(self._studio.controls(capability.name))
                ],
            }
            for capability in self._studio.capabilities()
        ]

    def _write(self, request: SpeechRequest, format_name: str) -> Path:
        """Speak into a file of its own in the folder from which Gradio serves downloads."""
        chosen = format_named(format_name)
        job = self._studio.submit(request)
        plan = job.plan
        # nobody can guess the folder, and whoever is told of it may fetch the file
        folder = Path(get_upload_folder()) / secrets.token_hex(32)
        path = folder / f"speech.{chosen.extension}"
        try:
            folder.mkdir(parents=True)
            tags = Tags(plan.text, plan.engine, plan.voice.id)
            encode_file(path, chosen, job.sample_rate, _sound(job), tags)
        except OSError as error:
            raise StorageError(
                f"The speech could not be written ({error.strerror or error}).",
                "",
                "Free some space and try again.",
            ) from error
        finally:
            job.cancel()  # nothing where it has ended
            if not path.exists():
                with contextlib.suppress(OSError):
                    folder.rmdir()
        self._keep_track(str(path))
        return path


def _sound(job: Job) -> Iterator[np.ndarray]:
    for event in job.events():
        if isinstance(event, Sound):
            yield event.samples


def _check_texts(values: dict[str, object]) -> None:
    """Gradio lets values of any type through, whatever types it describes."""
    for name, value in values.items():
        if not isinstance(value, str):
            raise InvalidRequest(
                f"{name} was {value!r:.80}.", "It takes text.", "Change it.", param=name
            )


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Errors with their message, which the client raises again."""
    try:
        yield
    except VivavoceError as error:
        raise gr.Error(str(error), print_exception=False) from error
