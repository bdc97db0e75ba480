"""The Devices tab as HTML: memory, what is loaded, requests, and what happened."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from html import escape

from engines.memory import MemoryEvent, ResidentInfo
from engines.runtime import device as devices
from studio.counters import Counters
from studio.jobs import Job, JobState
from studio.pace import pace
from studio.studio import Studio
from ui import memory_plot
from ui.view import duration

LOG_SHOWN = 50
EXCERPT = 60  # characters of a request's text


def page(studio: Studio, sampler: memory_plot.Sampler) -> str:
    """Everything, for a machine of one's own."""
    parts = [
        _section("Memory", "".join(_pool(studio, sampler, *pool) for pool in _pools())),
        _section("Loaded models", _residents(studio.memory.residents())),
        _section("Requests", _jobs(studio.jobs()) + _totals(studio.counters)),
        _section("Memory log", _log(studio.memory.log())),
    ]
    return f"<div class='vv-devices'>{''.join(parts)}</div>"


def shared_page(studio: Studio, own: Iterable[Job]) -> str:
    """For a machine that strangers share: one's own requests, and how long the queue is."""
    jobs = studio.jobs()
    waiting = sum(job.state is JobState.QUEUED for job in jobs)
    queue = (
        f"<p class='vv-muted'>{len(jobs) - waiting} in work, {waiting} waiting, "
        "of everybody's. This machine is shared: only your own are listed.</p>"
    )
    return f"<div class='vv-devices'>{_section('Your requests', _jobs(tuple(own)) + queue)}</div>"


def size(count: float) -> str:
    """Bytes in words, such as "3.2 GB"."""
    if count < 1000:
        return f"{count:.0f} B"
    for unit in ("kB", "MB", "GB"):
        count /= 1000
        if count < 1000 or unit == "GB":
            break
    return f"{count:.0f} {unit}" if count >= 100 else f"{count:.1f} {unit}"


def _pools() -> list[tuple[str, str, list[str]]]:
    """Memories that devices here use: name, title, and the devices that share it."""
    sharing: dict[str, list[str]] = {}
    titles: dict[str, str] = {}
    for info in devices.available():
        pool = devices.memory_pool(info.spec.name)
        sharing.setdefault(pool, []).append(info.spec.name)
        if info.spec.name == pool:
            titles[pool] = info.title
    return [(pool, titles.get(pool, pool), names) for pool, names in sharing.items()]


def _pool(
    studio: Studio, sampler: memory_plot.Sampler, pool: str, title: str, names: list[str]
) -> str:
    free, total = devices.memory_of_name(pool)
    chips = "".join(f"<span class='vv-tag'>{escape(name)}</span>" for name in names)
    head = f"<h4>{escape(title)} {chips}</h4>"
    if free is None or total is None:
        unseen = "<p class='vv-muted'>Its memory cannot be seen.</p>"
        return f"<article class='vv-card'>{head}{unseen}</article>"
    account = {usage.device: usage for usage in studio.memory.usage()}.get(pool)
    mine, room = (account.used, account.room) if account else (0, None)
    figures = [("free", free), ("in all", total), ("models and caches", mine)]
    if room is not None:
        figures.append(("may be used for them", room))
    listed = "".join(f"<div><dt>{name}</dt><dd>{size(value)}</dd></div>" for name, value in figures)
    now = time.time()
    seen = sampler.sample(pool)
    plot = memory_plot.svg(seen, memory_plot.ours(studio.memory, pool, now), total, now)
    minutes = round(memory_plot.window(seen, now) / 60)
    span = "the last minute" if minutes == 1 else f"the last {minutes} minutes"
    return (
        f"<article class='vv-card'>{head}{_bar(mine, total - free, total)}"
        f"<dl class='vv-figures'>{listed}</dl>{plot}"
        "<p class='vv-legend'><span class='vv-key-used'>in use</span>"
        "<span class='vv-key-ours'>models and caches</span>"
        f"<span class='vv-axis'>{span}, of {size(total)}</span></p></article>"
    )


def _bar(mine: int, used: int, total: int) -> str:
    ours, others = 100 * mine / total, 100 * max(0, used - mine) / total
    return (
        f"<div class='vv-meter' role='img' aria-label='{100 * used / total:.0f} percent in use'>"
        f"<i class='vv-meter-ours' style='width:{ours:.2f}%'></i>"
        f"<i class='vv-meter-used' style='width:{others:.2f}%'></i></div>"
    )


def _residents(residents: tuple[ResidentInfo, ...]) -> str:
    if not residents:
        return "<p class='vv-muted'>No model is loaded: eSpeak NG needs none.</p>"
    rows = [
        (
            escape(one.name),
            escape(one.kind.replace("_", " ")),
            f"<span class='vv-tag vv-{one.state.value}'>{one.state.value}</span>",
            escape(one.device),
            size(one.bytes),
            size(one.host_bytes),
            "in use" if one.leases else f"{duration(one.idle_seconds)} idle",
            "" if one.leases else _button("unload", one.name, "Unload", one.name),
        )
        for one in residents
    ]
    columns = ("Name", "Kind", "State", "Device", "There", "In host memory", "Use", "")
    return _table(columns, rows)


def _jobs(jobs: Iterable[Job]) -> str:
    rows = [
        (
            escape(_excerpt(job.plan.text)),
            escape(f"{job.plan.engine} · {job.plan.voice.name}"),
            job.state.value,
            f"{100 * job.progress:.0f}%",
            duration(job.seconds_made),
            _button("cancel", job.id, "Cancel", _excerpt(job.plan.text)),
        )
        for job in jobs
    ]
    if not rows:
        return "<p class='vv-muted'>Nothing is being spoken and nothing waits.</p>"
    return _table(("Text", "Voice", "State", "Done", "Audio", ""), rows)


def _totals(counters: Counters) -> str:
    requests = sum(counters.requests.values())
    if not requests:
        return ""
    outcomes = ", ".join(
        f"{number} {escape(outcome.replace('_', ' '))}"
        for outcome, number in sorted(counters.requests.items())
    )
    made_at = pace(counters.audio_seconds, counters.work_seconds)
    return (
        f"<p class='vv-muted'>Since the start: {outcomes} · {counters.characters:,} characters · "
        f"{duration(counters.audio_seconds)} of audio · {made_at}</p>"
    )


def _log(events: tuple[MemoryEvent, ...]) -> str:
    if not events:
        return (
            "<p class='vv-muted'>Nothing yet. Models that are loaded, offloaded after "
            "a while without use, or dropped to make room will be listed here.</p>"
        )
    rows = [
        (
            time.strftime("%H:%M:%S", time.localtime(event.wall_time)),
            escape(event.what),
            escape(event.name),
            escape(event.device),
            size(event.bytes),
            escape(event.reason),
        )
        for event in reversed(events[-LOG_SHOWN:])
    ]
    return _table(("Time", "What", "Name", "Device", "Size", "Why"), rows)


def _section(title: str, body: str) -> str:
    return f"<section><h3>{title}</h3>{body}</section>"


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Cells are HTML; each carries its column's name, which a narrow page shows beside it."""
    head = "".join(f"<th scope='col'>{name}</th>" for name in header)
    body = "".join(
        "<tr>"
        + "".join(
            f"<td data-name='{name}'>{cell}</td>" for name, cell in zip(header, row, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    return f"<table class='vv-table'><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _button(action: str, key: str, label: str, what: str) -> str:
    """A button that the tab's script hears; `what` is said to those who cannot see its row."""
    return (
        f"<button type='button' class='vv-button vv-quiet' data-{action}='{escape(key)}' "
        f"aria-label='{label} {escape(what)}'>{label}</button>"
    )


def _excerpt(text: str) -> str:
    line = " ".join(text[: 2 * EXCERPT].split())
    return line if len(line) <= EXCERPT else line[: EXCERPT - 1] + "…"
