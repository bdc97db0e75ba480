"""What happens on the Speak tab: each handler checks what it got, calls the studio, formats."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any

import gradio as gr

from engines.api import SpeechRequest
from engines.errors import InvalidRequest, VivavoceError
from studio.studio import Studio
from ui import asked as asked_for
from ui import choices, controls, export, view
from ui.controls import ControlGroup
from ui.desk import Desk, Desks
from ui.examples import EXAMPLES
from ui.owner import owner_of
from ui.textfile import decode
from ui.view import View

SEED, KEEP = 5, 6  # their places in a form
SEED_DIGITS = 10  # of the largest one

Outputs = tuple[Any, ...]


class Handlers:
    """Bound methods for the tab's events.

    A form is text, engine, language, voice, device, seed, keep, then every engine's controls in
    the order of `groups`.
    """

    def __init__(self, studio: Studio, desks: Desks, groups: Sequence[ControlGroup]) -> None:
        self._studio = studio
        self._desks = desks
        self._groups = groups

    # speech

    def speak(self, visitor: gr.Request, *given: Any) -> Iterator[Outputs]:
        """Outputs: take, seed, keep."""
        desk = self._desks.of(visitor.session_hash)
        form = _with_typed_seed(given, desk.seed)
        try:
            yield from _shown(desk.speak(self._request(form, visitor)), form)
        except VivavoceError as error:
            yield self._refused(desk, error)

    def again(self, visitor: gr.Request, event: gr.EventData, *given: Any) -> Iterator[Outputs]:
        """Make the sentence `event.number` again. Outputs: take, seed, keep."""
        desk = self._desks.of(visitor.session_hash)
        form = _with_typed_seed(given, desk.seed)
        try:
            number = _sentence_number(event._data["number"])
            text = desk.sentence_text(number)
            request = self._request((text, *form[1:]), visitor)
            yield from _shown(desk.speak_again(number, request), form)
        except VivavoceError as error:
            yield self._refused(desk, error)

    @staticmethod
    def _refused(desk: Desk, error: VivavoceError) -> Outputs:
        shown = desk.now(state=view.FAILED, alert=view.alert(error))
        return shown.as_json(), gr.skip(), gr.skip()

    def cancel(self, visitor: gr.Request) -> None:
        self._desks.of(visitor.session_hash).cancel()

    def download(self, visitor: gr.Request, event: gr.EventData) -> Outputs:
        """A file of the take. Outputs: take, file."""
        desk = self._desks.of(visitor.session_hash)
        try:
            path = export.write(desk.taken(), str(event._data["what"]), str(event._data["format"]))
        except VivavoceError as error:
            return desk.now(state=view.FAILED, alert=view.alert(error)).as_json(), None
        return gr.skip(), str(path)

    def keep(self, visitor: gr.Request, event: gr.EventData, engine: str, preset: str) -> Outputs:
        """Keep the voice that was made up under {name}, and choose it. Outputs: take, language,
        voice, controls."""
        desk = self._desks.of(visitor.session_hash)
        try:
            kept = desk.keep(asked_for.text(event._data, "name"))
        except VivavoceError as error:
            shown = desk.now(state=view.FAILED, alert=view.alert(error))
            return shown.as_json(), *self._unchanged()
        told = f"{kept.name} is kept: it is among the voices now."
        shown = desk.now(state=view.DONE, progress=1.0, notes=(told,))
        if kept.engine != engine:
            return shown.as_json(), *self._unchanged()
        language = choices.primary_language(kept.as_voice())
        offered = choices.voices(self._studio.voices(engine), language)
        voice = gr.Dropdown(choices=offered, value=kept.id)
        values = self._starter_values(engine, kept.id, preset)
        return shown.as_json(), language, voice, *values

    # text

    def read_file(self, visitor: gr.Request, data: bytes) -> Outputs:
        """The text of a dropped file. Outputs: text, take."""
        try:
            return decode(data, self._studio.settings.max_chars), gr.skip()
        except VivavoceError as error:
            desk = self._desks.of(visitor.session_hash)
            return gr.skip(), desk.now(state=view.FAILED, alert=view.alert(error)).as_json()

    def example(self, event: gr.EventData, engine: str, preset: str) -> Outputs:
        """An example text and a voice for it. Outputs: text, language, voice, controls."""
        example = EXAMPLES[event._data["number"]]
        offered = choices.voices(self._studio.voices(engine), example.language)
        if not offered:
            return example.text, *self._unchanged()
        voice = offered[0][1]
        shown = gr.Dropdown(choices=offered, value=voice)
        return example.text, example.language, shown, *self._starter_values(engine, voice, preset)

    # choices

    def choose_engine(self, engine: str) -> Outputs:
        """Outputs: language, voice, device, preset, columns of controls, controls."""
        voices = self._studio.voices(engine)
        language, voice = choices.first_choice(self._studio, engine)
        capability = self._studio.engine(engine).capability
        offered = choices.device_choices(capability, titles=not self._studio.settings.shared)
        presets = choices.presets(self._studio.presets.engines, engine)
        return (
            gr.Dropdown(choices=choices.languages(voices), value=language),
            gr.Dropdown(choices=choices.voices(voices, language), value=voice),
            gr.Dropdown(choices=offered, value=choices.AUTO_DEVICE),
            gr.Dropdown(choices=presets, value=choices.NO_PRESET),
            *(gr.Column(visible=group.engine == engine) for group in self._groups),
            *self._control_values(
                engine, voice, controls.layers(self._studio, engine, voice, choices.NO_PRESET)
            ),
        )

    def choose_language(self, engine: str, language: str, voice: str, preset: str) -> Outputs:
        """Outputs: voice, controls."""
        offered = choices.voices(self._studio.voices(engine), language)
        values = [value for _, value in offered]
        chosen = voice if voice in values or not values else values[0]
        shown = gr.Dropdown(choices=offered, value=chosen)
        return shown, *self._starter_values(engine, chosen, preset)

    def look_again(self, engine: str, language: str) -> dict[str, Any]:
        """Voices may have been kept or let go elsewhere; the chosen one stays. Outputs: voice."""
        return gr.update(choices=choices.voices(self._studio.voices(engine), language))

    def choose_voice(self, engine: str, voice: str, preset: str) -> Outputs:
        """Outputs: controls."""
        return tuple(self._starter_values(engine, voice, preset))

    def apply_preset(self, engine: str, voice: str, preset: str) -> Outputs:
        """Outputs: language, voice, controls."""
        named = self._studio.presets.engine_preset(preset).voice if preset else None
        values = self._control_values(
            engine, named or voice, controls.layers(self._studio, engine, named or voice, preset)
        )
        if named is None:
            return gr.skip(), gr.skip(), *values
        voices = self._studio.voices(engine)
        listed = {listed.id: listed for listed in voices}
        language = choices.primary_language(
            listed.get(named) or self._studio.engine(engine).voice(named)
        )
        offered = gr.Dropdown(choices=choices.voices(voices, language), value=named)
        return language, offered, *values

    # from a form to a request, and from requests and presets to a form

    def fill(self, request: SpeechRequest) -> Outputs:
        """A request that was spoken, put back into the form with its seed. Outputs: text, engine,
        language, voice, device, preset, seed, keep, columns of controls, controls.

        Raises:
            UnknownEngine: there is no such engine any more.
        """
        engine, voice = str(request.engine), str(request.voice)
        language = str(request.language).split("-")[0].lower()
        _, _, devices, presets, *rest = self.choose_engine(engine)
        columns = rest[: len(self._groups)]
        offered = choices.voices(self._studio.voices(engine), language)
        if voice not in (value for _, value in offered):
            offered = [*offered, (voice, voice)]
        return (
            request.text,
            engine,
            language,
            gr.Dropdown(choices=offered, value=voice),
            devices,
            presets,
            str(request.seed),
            True,
            *columns,
            *self._control_values(engine, voice, request.controls),
        )

    def _request(self, form: Sequence[Any], visitor: gr.Request) -> SpeechRequest:
        text, engine, language, voice, device, seed, keep, *values = form
        return SpeechRequest(
            text=text,
            engine=engine,
            voice=voice,
            language=choices.language_tag(self._studio.voices(engine), voice, language),
            device=None if device == choices.AUTO_DEVICE else device,
            controls=self._given(engine, voice, values),
            seed=whole(seed) if keep else None,  # type: ignore[arg-type]  # the studio checks it
            owner=owner_of(self._studio, visitor),
            door="page",
        )

    def _given(self, engine: str, voice: str, values: Sequence[Any]) -> dict[str, Any]:
        """The chosen engine's controls among the values of all: those that the voice has, since
        others may keep what was set for another voice."""
        rest = iter(values)
        given = {
            group.engine: {spec.name: next(rest) for spec in group.specs} for group in self._groups
        }[engine]
        has = self._studio.controls_of(engine, voice)
        return {name: value for name, value in given.items() if has is None or name in has}

    def _unchanged(self) -> list[Any]:
        """Language, voice and controls as they are."""
        return [gr.skip()] * (2 + sum(len(group.specs) for group in self._groups))

    def _control_values(
        self,
        engine: str,
        voice: str | None,
        layers: Mapping[str, Any],
        only: Container[str] | None = None,
    ) -> list[Any]:
        """A value for each widget of every engine; those of other engines stay as they are, and
        what a voice does not have is hidden."""
        has = self._studio.controls_of(engine, voice)
        return [
            controls.changed(
                spec,
                layers if only is None or spec.name in only else None,
                None if has is None else spec.name in has,
            )
            if group.engine == engine
            else gr.skip()
            for group in self._groups
            for spec in group.specs
        ]

    def _starter_values(self, engine: str, voice: str, preset: str) -> list[Any]:
        """The controls that starter voices set, for this voice; what a person set stays."""
        starters = [v for v in self._studio.presets.voices if v.engine == engine]
        names = {name for starter in starters for name in starter.controls}
        return self._control_values(
            engine, voice, controls.layers(self._studio, engine, voice, preset), names
        )


def _shown(views: Iterator[View], form: Sequence[Any]) -> Iterator[Outputs]:
    """Views for the page. The seed goes into its field once: a person may then change it."""
    keep = form[KEEP]
    first = True
    for shown in views:
        seed = (str(shown.seed), keep) if first else (gr.skip(), gr.skip())
        yield shown.as_json(), *seed
        first = False


def _with_typed_seed(form: Sequence[Any], drawn: int | None) -> list[Any]:
    """The form with "keep" set where a person put a seed of his own into the field: it holds the
    one that was drawn last, unless he did."""
    filled = list(form)
    filled[KEEP] = form[KEEP] or form[SEED].strip() not in ("", str(drawn))
    return filled


def _sentence_number(given: object) -> int:
    if isinstance(given, bool) or not isinstance(given, int):
        raise InvalidRequest(f"The sentence was {given!r:.80}.", "It takes a whole number.")
    return given


def whole(seed: str) -> int | str | None:
    """The seed field as a number; what is none goes on as it is, to be refused by name."""
    given = seed.strip()
    return int(given) if given.isdecimal() and len(given) <= SEED_DIGITS else given or None
