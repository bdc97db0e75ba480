"""The Models tab as HTML: families, what is installed, downloads, what is in memory."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from engines.memory import ResidentInfo, ResidentState
from studio.models import DownloadState, Family, Installed, InstalledState, Model
from studio.models.download import Download, Progress
from studio.models.installed import PART
from studio.models.shelf import ModelShelf, Room, of_engine
from studio.models.warm import Loading, can_warm_up
from studio.studio import Studio
from ui.devices_view import size
from ui.models_parts import alert, button, confirm, link, terms
from ui.view import duration

Found = tuple[Installed, ...]

LANGUAGES_SHOWN = 6
BADGES = {
    "forbidden": ("Non-commercial", "Its licence does not allow commercial use"),
    "unknown": ("Check the licence", "Its licence may not allow every use"),
}
STATES = {
    InstalledState.COMPLETE: ("Installed", ""),
    InstalledState.PARTIAL: ("Incomplete", " vv-warn"),
    InstalledState.DAMAGED: ("Damaged", " vv-warn"),
    InstalledState.UNUSABLE: ("Cannot be used", " vv-warn"),
}


def page(studio: Studio, installed: Found, loadings: dict[str, Loading]) -> str:
    """Everything, on a machine of one's own; what changes by the second is in `pulse`."""
    shelf = studio.models
    residents = studio.memory.residents()
    parts = [_top(shelf)]
    for family in shelf.catalogue.families:
        here = [one for one in installed if one.model.family == family.id]
        memory = _memory(family, here, of_engine(residents, family.engine), loadings)
        items = _items(shelf, family, here)
        parts.append(_family(family, items, memory, works=not shelf.offline))
    return "".join(parts)


def shared_page(studio: Studio) -> str:
    """For a machine that strangers share: what there is and what is here, nothing to press."""
    installed = studio.models.installed()
    parts = [
        "<p class='vv-muted'>This machine is shared: whoever runs it decides which models it "
        "has.</p>"
    ]
    for family in studio.models.catalogue.families:
        items = []
        for model in family.models:
            here = [one for one in installed if one.model is model and not one.unfinished]
            if model.downloadable or here:
                items.append(_item(model, _tag(here[0]) if here else "", "", ""))
        parts.append(_family(family, items, "", works=False, shared=True))
    return "".join(parts)


def pulse(studio: Studio, installed: Found) -> dict[str, object]:
    """What changes by the second: downloads on their way, and room on the disk."""
    shelf = studio.models
    shown = {
        folder: {"percent": _percent(progress), "text": said(progress)}
        for folder, download in shelf.downloads().items()
        if not (progress := download.progress()).state.over
    }
    return {"downloads": shown, "room": _room(shelf.room(installed))}


def said(progress: Progress) -> str:
    """A download's progress in words."""
    if progress.state is DownloadState.ASKING:
        return "Asking the Hugging Face Hub…"
    words = [f"{size(progress.done)} of {size(progress.total)}"]
    if progress.speed:
        words.append(f"{size(progress.speed)}/s")
    if progress.left is not None:
        words.append(f"{duration(progress.left)} left")
    return " · ".join(words)


def _percent(progress: Progress) -> float:
    return round(100 * progress.done / progress.total, 1) if progress.total else 0.0


def _room(room: Room) -> str:
    used = f"{size(room.used)} used by models" if room.used else "No model is installed yet"
    return used if room.free is None else f"{used}, {size(room.free)} free"


def _top(shelf: ModelShelf) -> str:
    path = escape(str(shelf.root))
    badge = (
        "<p class='vv-alert-soft'><b>Offline.</b> Downloads are switched off: the program was "
        "started with --offline or HF_HUB_OFFLINE. Folders that you put there yourself work.</p>"
        if shelf.offline
        else ""
    )
    return (
        "<section class='vv-models-top'>"
        f"<p class='vv-path'><span>Models directory</span> <code>{path}</code> "
        f"{button('copy', str(shelf.root), 'Copy', 'the path of the models directory')}</p>"
        "<p class='vv-muted' data-room></p>"
        "<p class='vv-muted'>Download a model here, or put a folder there as it was published: it "
        f"is recognised by its files, whatever its name.</p>{badge}</section>"
    )


def _family(
    family: Family, items: Iterable[str], memory: str, *, works: bool, shared: bool = False
) -> str:
    """`works`: can its models be downloaded here?"""
    items = list(items)
    tags = "<span class='vv-tag'>Ready</span>" if family.speaks and not family.models else ""
    honest = (
        ""
        if family.speaks
        else "<p class='vv-muted'>This version cannot speak with it yet"
        + ("; the download works." if works else ".")
        + "</p>"
    )
    listed = f"<ul class='vv-model-list'>{''.join(items)}</ul>" if items else ""
    by_hand = (
        f"<p class='vv-muted'>{escape(family.by_hand)}</p>"
        if not family.models
        else ""
        if shared
        else f"<details data-key='hand {family.id}'><summary>By hand</summary>"
        f"<p class='vv-muted'>{escape(family.by_hand)}</p></details>"
    )
    return (
        f"<section class='vv-family' data-family='{family.id}'>"
        f"<h3>{escape(family.title)} {tags}</h3>"
        f"<p>{escape(family.summary)} {link(family.home, 'Project page', family.title)}</p>"
        f"{honest}{memory}{listed}{by_hand}</section>"
    )


def _items(shelf: ModelShelf, family: Family, here: list[Installed]) -> Iterable[str]:
    downloads = shelf.downloads()
    for model in family.models:
        if model.downloadable:
            mine = [one for one in here if one.model is model]
            yield _published(shelf, model, mine, downloads.get(model.folder))
    for one in here:
        if one.key not in (one.model.folder, one.model.folder + PART):
            yield _dropped(one)


def _published(
    shelf: ModelShelf, model: Model, mine: list[Installed], download: Download | None
) -> str:
    """`mine`: where it was found, in its own place or elsewhere."""
    homes = [one for one in mine if one.key in (model.folder, model.folder + PART)]
    progress = download.progress() if download else None
    if progress and not progress.state.over:
        below = _running(model)
        stop = button("stop", model.folder, "Cancel", f"the download of {model.title}")
        return _item(model, "<span class='vv-tag'>Downloading</span>", stop, below)
    whole = next((one for one in homes if not one.unfinished), None)
    part = next((one for one in homes if one.unfinished), None)
    tags, buttons, below = "", "", ""
    wanted = ""
    if whole is not None:
        tags, below = _tag(whole), _where(whole)
        if whole.state in (InstalledState.PARTIAL, InstalledState.DAMAGED):
            wanted = "Repair"
    elif part is not None:
        known = f": {size(part.bytes)} of {size(part.total)}" if part.total else ""
        tags = f"<span class='vv-tag vv-warn'>Unfinished{known}</span>"
        wanted = "Resume"
    elif elsewhere := [one for one in mine if one.state is InstalledState.COMPLETE]:
        tags = f"<span class='vv-tag'>Installed as {escape(elsewhere[0].key)}</span>"
    else:
        wanted = "Download"
    if download is not None and download.error is not None and wanted:
        below = alert(download.error) + below
    if wanted and not shelf.offline:
        buttons += _download(model, wanted)
    if (shown := whole or part) is not None:
        buttons += button("ask", f"delete {shown.key}", "Delete", model.title, opens=True)
        below += confirm(shown)
    return _item(model, tags, buttons, below)


def _download(model: Model, label: str) -> str:
    if not model.licence.must_be_read:
        return button("download", model.folder, label, model.title, main=True)
    return button("ask", f"terms {model.folder}", label, model.title, main=True, opens=True)


def _dropped(one: Installed) -> str:
    name = f"{one.key} · {one.model.title}"
    delete = button("ask", f"delete {one.key} {one.model.id}", "Delete", one.key, opens=True)
    below = _where(one) + confirm(one, one.model.id)
    return _item(one.model, _tag(one), delete, below, name, dropped=True)


def _item(
    model: Model, tags: str, buttons: str, below: str, title: str = "", *, dropped: bool = False
) -> str:
    badge = ""
    if model.licence.must_be_read:
        text, why = BADGES[model.licence.commercial]
        badge = f"<span class='vv-tag vv-bound' title='{why}'>{text}</span>"
    read_first = terms(model) if f"terms {model.folder}" in buttons else ""
    actions = f"<div class='vv-model-do'>{buttons}</div>" if buttons else ""
    return (
        f"<li class='vv-model' data-model='{model.folder}'>"
        f"<div class='vv-model-what'><h4>{escape(title or model.title)} {tags}{badge}</h4>"
        f"<p>{escape(model.summary)}</p>"
        f"<p class='vv-facts'>{_facts(model, dropped=dropped)}</p></div>"
        f"{actions}{read_first}{below}</li>"
    )


def _facts(model: Model, *, dropped: bool) -> str:
    """Of a folder that was put there by hand, what its download would be is left out."""
    facts = []
    if model.downloadable and not dropped:
        count, exact = model.size()
        shown = f"{'' if exact else 'about '}{size(count)}" if count else "size: the Hub tells it"
        facts.append(shown)
    if model.languages:
        more = len(model.languages) - LANGUAGES_SHOWN
        listed = ", ".join(model.languages[:LANGUAGES_SHOWN]) + (f" + {more}" if more > 0 else "")
        every = ", ".join(model.languages)
        facts.append(f"<span title='{every}'>{listed}</span>")
    licence = model.licence
    name = f"Licence: {licence.name}"
    facts.append(link(licence.url, name, model.title) if licence.url else escape(name))
    if not dropped:
        facts += [link(source.url, source.repo, "on the Hub") for source in model.sources]
    return " · ".join(facts)


def _running(model: Model) -> str:
    """Filled by `pulse`."""
    return (
        f"<div class='vv-load'><div class='vv-progress' role='progressbar' aria-valuemin='0' "
        f"aria-valuemax='100' aria-label='{escape(model.title)}'><i></i></div>"
        "<p class='vv-muted'></p></div>"
    )


def _tag(one: Installed) -> str:
    text, kind = STATES[one.state]
    return f"<span class='vv-tag{kind}'>{text}</span>"


def _where(one: Installed) -> str:
    faults = "".join(f"<li>{escape(fault)}</li>" for fault in one.faults)
    listed = f"<ul class='vv-faults'>{faults}</ul>" if faults else ""
    copy = button("copy", str(one.folder), "Copy", f"the path of {one.model.title}")
    path = escape(str(one.folder))
    return (
        f"<p class='vv-path'><code>{path}</code> {copy}"
        f"<span class='vv-muted'>{size(one.bytes)}</span></p>{listed}"
    )


def _memory(
    family: Family,
    here: list[Installed],
    residents: tuple[ResidentInfo, ...],
    loadings: dict[str, Loading],
) -> str:
    loading = loadings.get(family.engine)
    parts = [_resident(one) for one in residents]
    if loading is not None and not loading.over:
        parts.append(
            f"<li><span>Loading on {escape(loading.device)}…</span>"
            f"{button('unwarm', family.engine, 'Cancel', 'loading')}</li>"
        )
    elif can_warm_up(family.engine) and (
        not family.models or any(one.state is InstalledState.COMPLETE for one in here)
    ):
        parts.append(
            "<li><span>Load it now, so that the first sentence need not wait.</span>"
            f"{button('warm', family.engine, 'Load', family.title)}</li>"
        )
    error = alert(loading.error) if loading is not None and loading.error else ""
    return (f"<ul class='vv-memory'>{''.join(parts)}</ul>" if parts else "") + error


def _resident(one: ResidentInfo) -> str:
    buttons = ""
    if not one.leases and one.state in (ResidentState.READY, ResidentState.OFF):
        if one.state is ResidentState.READY and one.host_bytes:
            buttons += button("offload", one.name, "Offload", one.name)
        buttons += button("drop", one.name, "Unload", one.name)
    held = f" · {size(one.host_bytes)} in host memory" if one.host_bytes else ""
    use = "in use" if one.leases else one.state.value
    return (
        f"<li><span><b>{escape(one.name)}</b> · {escape(one.device)} · {size(one.bytes)}{held} "
        f"· {use}</span>{buttons}</li>"
    )
