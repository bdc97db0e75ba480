"""`/v1/voices`: one's own voices, made from clips, with who agreed to them."""

from __future__ import annotations

import contextlib
import functools
import re
import shutil
from collections.abc import Callable, Coroutine, Iterator
from typing import IO, Annotated, Any, TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse
from fastapi.routing import APIRoute

from engines.api import CancelToken
from engines.errors import BadReference, InvalidRequest
from server.context import ServerContext, context_of
from server.errors import ModelNotFound
from server.limits import read_model
from server.owner import owner_of
from server.uploads import Form, form
from server.voices_answers import (
    ABOUT,
    CONSENT,
    FILE,
    LIMIT,
    FindingItem,
    LikenessItem,
    LikenessList,
    NewProfile,
    ProfileChange,
    ProfileList,
    WholeProfile,
    form_body,
    item_of,
    whole_of,
)
from studio import speaker
from studio.reference import Limits, Prepared, prepare
from studio.voices import (
    Consent,
    LibraryVoice,
    MissingConsent,
    NewClip,
    NoSuchVoice,
    VoiceLibrary,
)
from studio.voices.files import new_id, translated

WORKERS = 2  # uploads that are worked on at once
SECONDS = 600.0  # that one may take
BLOCK = 1 << 16  # bytes sent at a time

T = TypeVar("T")


class VoiceNotFound(ModelNotFound):
    """The path of a voice that this owner does not have."""

    code = "voice_not_found"


class _Route(APIRoute):
    """Here a voice that is missing is the address that was asked for: 404, not 400."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                return await handler(request)
            except NoSuchVoice as error:
                raise VoiceNotFound(
                    error.given, error.allowed, error.todo, param=error.param
                ) from None

        return handled


router = APIRouter(tags=["voices"], route_class=_Route)


def _library(context: Annotated[ServerContext, Depends(context_of)]) -> VoiceLibrary:
    return context.studio.voices_library


Library = Annotated[VoiceLibrary, Depends(_library)]
Owner = Annotated[str, Depends(owner_of)]
Context = Annotated[ServerContext, Depends(context_of)]


@router.get("/v1/voices", summary="Your voices by name, or those that hold some words")
def profiles(
    library: Library,
    owner: Owner,
    q: Annotated[
        str, Query(max_length=200, description="parts of name, tags, notes or transcripts")
    ] = "",
    limit: Annotated[int, Query(ge=1, le=500, description="voices on a page")] = 50,
    offset: Annotated[int, Query(ge=0, le=2**31, description="voices before the page")] = 0,
) -> ProfileList:
    page = library.search(owner, q, limit=limit, offset=offset)
    return ProfileList(voices=[item_of(voice) for voice in page.voices], total=page.total)


@router.post(
    "/v1/voices",
    status_code=201,
    summary="Make a voice of a recording whose speaker agreed",
    openapi_extra=form_body({**ABOUT, **CONSENT}, ("name", *CONSENT)),
)
async def add(request: Request, context: Context, owner: Owner) -> NewProfile:
    def work(sent: Form, cancel: CancelToken) -> NewProfile:
        consent = _consent(sent)
        if consent is None:
            raise MissingConsent(
                "consent was not true.",
                "A voice is made only of recordings whose speaker agreed.",
                "Ask the speaker; then send consent=true, consent_name and consent_purpose.",
                param="consent",
            )
        prepared = _prepared(context, sent, cancel, denoise=sent.flag("denoise"))
        voice = context.studio.voices_library.add(
            owner,
            sent.fields.get("name", ""),
            sent.fields.get("language", ""),
            sent.fields.get("tags", "").split(","),
            [NewClip(prepared.wav(), sent.fields.get("transcript", ""), sha256=prepared.sha256)],
            consent,
            notes=sent.fields.get("notes", ""),
            cancel=cancel,
        )
        findings = [
            FindingItem(severity=each.severity, text=each.text, advice=each.advice)
            for each in prepared.report.findings
        ]
        return NewProfile(**whole_of(voice).model_dump(), report=findings)

    return await _with_form(request, context, {**ABOUT, **CONSENT}, work)


@router.post(
    "/v1/voices/import",
    status_code=201,
    summary="Take in a voice that was exported",
    openapi_extra=form_body(CONSENT, ()),
)
async def take_in(request: Request, context: Context, owner: Owner) -> WholeProfile:
    def work(sent: Form, cancel: CancelToken) -> WholeProfile:
        library = context.studio.voices_library
        path = library.exports / f"{new_id()}.import"
        try:
            with translated(path), path.open("xb") as file:
                shutil.copyfileobj(sent.file, file)
            return whole_of(library.import_zip(owner, path, _consent(sent), cancel=cancel))
        finally:
            path.unlink(missing_ok=True)

    return await _with_form(request, context, CONSENT, work)


@router.post(
    "/v1/voices/similar",
    summary="Your voices that sound like a recording",
    openapi_extra=form_body(LIMIT, ()),
)
async def similar(request: Request, context: Context, owner: Owner) -> LikenessList:
    def work(sent: Form, cancel: CancelToken) -> LikenessList:
        limit = _limit(sent.fields.get("limit", "10"))
        clip = _prepared(context, sent, cancel)
        found = context.studio.voices_library.like(
            owner, clip.samples, clip.sample_rate, limit, cancel=cancel
        )
        return LikenessList(
            voices=[LikenessItem(voice=item_of(voice), likeness=like) for voice, like in found]
        )

    return await _with_form(request, context, LIMIT, work)


@router.get("/v1/voices/{voice_id}", summary="A voice with its clips and consents")
def profile(voice_id: str, library: Library, owner: Owner) -> WholeProfile:
    return whole_of(library.get(owner, voice_id))


@router.patch(
    "/v1/voices/{voice_id}",
    summary="Change what is said about a voice",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": ProfileChange.model_json_schema()}},
        }
    },
)
async def change(request: Request, voice_id: str, context: Context, owner: Owner) -> WholeProfile:
    takes = "It takes name, language and notes as texts, and tags as an array of texts."
    given = await read_model(request, context.body_limit, ProfileChange, takes)

    def work() -> LibraryVoice:
        return context.studio.voices_library.update(owner, voice_id, **given.model_dump())

    return whole_of(await to_thread.run_sync(work, limiter=context.planners))


@router.delete("/v1/voices/{voice_id}", status_code=204, summary="Delete a voice and its files")
def delete(voice_id: str, library: Library, owner: Owner) -> None:
    library.delete(owner, voice_id)


@router.get(
    "/v1/voices/{voice_id}/export",
    summary="A voice as one zip file, to take along",
    response_class=Response,
    responses={200: {"content": {"application/zip": {"schema": FILE}}}},
)
def export(voice_id: str, library: Library, owner: Owner) -> Response:
    name = _file_name(library.get(owner, voice_id).name)
    path = library.export_zip(owner, voice_id, library.exports / f"{new_id()}.zip")
    with translated(path):
        file, size = path.open("rb"), path.stat().st_size
    with contextlib.suppress(OSError):  # Windows removes no open file; the next start does
        path.unlink()
    headers = {
        "Content-Disposition": f'attachment; filename="{name}.zip"',
        "Content-Length": str(size),
    }
    return StreamingResponse(_read(file), headers=headers, media_type="application/zip")


@router.get(
    "/v1/voices/{voice_id}/clips/{clip_id}",
    summary="The sound of a clip",
    response_class=Response,
    responses={200: {"content": {"audio/wav": {"schema": FILE}}}},
)
def clip(voice_id: str, clip_id: str, library: Library, owner: Owner) -> Response:
    wav = library.clip_wav(owner, voice_id, clip_id)
    return Response(wav, media_type="audio/wav", headers={"Cache-Control": "private, no-cache"})


async def _with_form(
    request: Request,
    context: ServerContext,
    fields: dict[str, Any],
    work: Callable[[Form, CancelToken], T],
) -> T:
    """Do the work on an upload in a thread, a few at once."""
    context.raise_if_stopping()
    state = request.app.state
    if not hasattr(state, "upload_workers"):
        state.upload_workers = CapacityLimiter(WORKERS)
    async with form(request, context.settings, tuple(fields)) as sent:
        cancel = CancelToken(SECONDS)
        return await to_thread.run_sync(work, sent, cancel, limiter=state.upload_workers)


def _prepared(
    context: ServerContext, sent: Form, cancel: CancelToken, *, denoise: bool = False
) -> Prepared:
    """
    Raises:
        BadReference: the recording does not do as a clip.
    """
    prepared = prepare(
        sent.file.read(),
        denoise=denoise,
        cancel=cancel,
        embed=functools.partial(speaker.embed, memory=context.studio.memory),
        limits=Limits(bytes=context.settings.max_upload),
    )
    for finding in prepared.report.findings:
        if finding.severity == "bad":
            raise BadReference(finding.text, "", finding.advice, param="file")
    return prepared


def _consent(sent: Form) -> Consent | None:
    """Who agreed, where the box is ticked."""
    if not sent.flag("consent"):
        return None
    return Consent(sent.fields.get("consent_name", ""), sent.fields.get("consent_purpose", ""))


def _limit(value: str) -> int:
    if not re.fullmatch(r"[0-9]{1,3}", value) or not 1 <= int(value) <= 100:
        raise InvalidRequest(
            f"limit was {value!r:.80}.", "It takes 1 to 100.", "Change it.", param="limit"
        )
    return int(value)


def _file_name(name: str) -> str:
    """A name for a header, where there is room for ASCII alone."""
    words = re.findall(r"[A-Za-z0-9]+", name)
    return "-".join(words).lower()[:60] or "voice"


def _read(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while block := file.read(BLOCK):
            yield block
