"""What stands in a voice file beside the clips."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from studio.voices.errors import BadVoiceFile, MissingConsent
from studio.voices.records import Consent, LibraryVoice
from studio.voices.shelf import MAX_CLIPS

NAME = "manifest.json"
LONGEST = 100_000  # characters of a text; what a field takes is said by the field
DAY = timedelta(days=1)  # by which two clocks may differ

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Text = Annotated[str, Field(max_length=LONGEST)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ManifestClip(_Part):
    file: Annotated[str, Field(pattern=r"^clips/[0-9]{5}\.wav$")]
    sha256: Sha256
    transcript: Text = ""
    language: Text = ""


class ManifestConsent(_Part):
    who: Text
    purpose: Text
    when: AwareDatetime
    clip_hash: Sha256


class Manifest(_Part):
    """`format` and `version` say how to read the rest; a change that an older program would get
    wrong raises the version."""

    format: Literal["vivavoce-voice"] = "vivavoce-voice"
    version: Literal[1] = 1
    name: Text
    language: Text = ""
    tags: list[Text] = []
    notes: Text = ""
    clips: Annotated[list[ManifestClip], Field(min_length=1, max_length=MAX_CLIPS)]
    consents: list[ManifestConsent] = []

    @classmethod
    def of(cls, voice: LibraryVoice) -> Manifest:
        return cls(
            name=voice.name,
            language=voice.language,
            tags=list(voice.tags),
            notes=voice.notes,
            clips=[
                ManifestClip(
                    file=f"clips/{number:05d}.wav",
                    sha256=clip.sha256,
                    transcript=clip.transcript,
                    language=clip.language,
                )
                for number, clip in enumerate(voice.clips)
            ],
            consents=[
                ManifestConsent(who=c.who, purpose=c.purpose, when=c.when, clip_hash=c.clip_hash)
                for c in voice.consents
                if c.when is not None
            ],
        )

    def given_consents(self, added: Consent | None) -> list[Consent]:
        """The consents of the file, and one more for every clip where one is added now.

        Raises:
            MissingConsent: a clip has none.
            BadVoiceFile: one was given in the future.
        """
        now = datetime.now(timezone.utc)
        found = [Consent(c.who, c.purpose, c.when, c.clip_hash) for c in self.consents]
        if any(consent.when and consent.when > now + DAY for consent in found):
            raise BadVoiceFile(
                "The voice file holds a consent that was given in the future.",
                "",
                "Export the voice again where it came from.",
            )
        if added is not None:
            found += [Consent(added.who, added.purpose, now, c.sha256) for c in self.clips]
        without = {clip.sha256 for clip in self.clips} - {c.clip_hash for c in found}
        if without:
            raise MissingConsent(
                f"{len(without)} of {len(self.clips)} clips of the voice file have no consent.",
                "A voice is kept only with a record of who agreed, and to what.",
                "Ask the speaker, and give their consent with the file.",
                param="consent",
            )
        return found


def parse(text: bytes) -> Manifest:
    """
    Raises:
        BadVoiceFile: it is no manifest of a version that this program reads.
    """
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "the text"
        raise BadVoiceFile(
            f"{NAME} of the voice file is not right: {place:.80}: {first['msg']:.200}.",
            "It is what this program writes, of version 1.",
            "Export the voice again where it came from.",
            param="file",
        ) from error
