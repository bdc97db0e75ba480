"""Published models: which there are and which of them are here."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from server.context import ServerContext, context_of
from studio.models import Installed, Model, ModelShelf

router = APIRouter(tags=["models"])

Context = Annotated[ServerContext, Depends(context_of)]


class LicenceItem(BaseModel):
    name: str
    url: str = ""
    commercial: Literal["allowed", "forbidden", "unknown"]
    note: str = ""


class InstalledItem(BaseModel):
    id: str = Field(description="Of the model; own-… for one that is in no catalogue.")
    folder: str = Field(description="In the models directory; empty on a shared machine.")
    state: Literal["complete", "partial", "damaged"]
    bytes: int
    faults: list[str]
    revisions: dict[str, str] = Field(description="Repository and commit, where it was downloaded.")


class DownloadItem(BaseModel):
    state: Literal["asking", "running", "done", "cancelled", "failed"]
    done: int = Field(description="Bytes.")
    total: int = Field(description="Bytes; 0 until the Hub has said.")


class PublishedItem(BaseModel):
    id: str
    title: str
    languages: list[str] = Field(description="BCP 47; empty where unknown.")
    licence: LicenceItem
    repositories: list[str] = Field(description="On the Hugging Face Hub.")
    bytes: int = Field(description="Of a download, as far as known.")
    exact: bool = Field(description="Whether `bytes` is exact.")
    download: DownloadItem | None = Field(default=None, description="The last one of this run.")


class FamilyItem(BaseModel):
    id: str
    title: str
    engine: str
    speaks: bool = Field(description="Whether this version can speak with these models.")
    published: list[PublishedItem]
    installed: list[InstalledItem]


class PublishedList(BaseModel):
    offline: bool
    families: list[FamilyItem]


@router.get("/v1/studio/models", summary="Published models, and which of them are installed")
def published_models(context: Context) -> PublishedList:
    shelf = context.studio.models
    installed = shelf.installed()
    return PublishedList(
        offline=shelf.offline,
        families=[
            FamilyItem(
                id=family.id,
                title=family.title,
                engine=family.engine,
                speaks=family.speaks,
                published=[_published(shelf, m) for m in family.models if m.downloadable],
                installed=[
                    _installed(one, shared=context.settings.shared)
                    for one in installed
                    if one.model.family == family.id
                ],
            )
            for family in shelf.catalogue.families
        ],
    )


def _published(shelf: ModelShelf, model: Model) -> PublishedItem:
    size, exact = model.size()
    licence = model.licence
    download = shelf.downloads().get(model.folder)
    progress = download.progress() if download else None
    return PublishedItem(
        id=model.id,
        title=model.title,
        languages=list(model.languages),
        licence=LicenceItem(
            name=licence.name, url=licence.url, commercial=licence.commercial, note=licence.note
        ),
        repositories=[source.repo for source in model.sources],
        bytes=size,
        exact=exact,
        download=progress
        and DownloadItem(state=progress.state.value, done=progress.done, total=progress.total),
    )


def _installed(one: Installed, *, shared: bool) -> InstalledItem:
    return InstalledItem(
        id=one.model.id,
        folder="" if shared else one.key,
        state=one.state.value,
        bytes=one.bytes,
        faults=[] if shared else list(one.faults),
        revisions=dict(one.revisions),
    )
