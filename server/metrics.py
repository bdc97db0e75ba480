"""`GET /metrics`: what the studio and the server count anyway, in Prometheus' words.

Nothing is kept here: a scrape reads the figures where they are. prometheus-client is imported at
the first scrape.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

import psutil
from fastapi import APIRouter, Request, Response

from server.context import ServerContext, context_of
from studio.jobs import JobState

if TYPE_CHECKING:
    from prometheus_client import Metric

router = APIRouter(tags=["health"])


@router.get("/metrics", summary="Counters and gauges for Prometheus", response_class=Response)
def metrics(request: Request) -> Response:
    from prometheus_client import CollectorRegistry, ProcessCollector
    from prometheus_client.exposition import choose_encoder

    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    registry.register(StudioCollector(context_of(request)))
    encode, content_type = choose_encoder(request.headers.get("accept", ""))
    return Response(encode(registry), media_type=content_type)


class StudioCollector:
    """Reads the figures of one server when Prometheus asks."""

    def __init__(self, context: ServerContext) -> None:
        self._context = context

    def collect(self) -> Iterator[Metric]:
        yield from self._studio()
        yield from self._memory()
        yield from self._traffic()
        yield from _workers()

    def _studio(self) -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        studio, counters = self._context.studio, self._context.studio.counters
        ended = CounterMetricFamily(
            "vivavoce_requests", "Requests that ended, by how.", labels=["outcome"]
        )
        for outcome, count in dict(counters.requests).items():
            ended.add_metric([outcome], count)
        yield ended
        for name, text, value in (
            ("vivavoce_characters", "Characters spoken.", counters.characters),
            ("vivavoce_audio_seconds", "Seconds of audio made.", counters.audio_seconds),
            ("vivavoce_work_seconds", "Seconds of work on requests.", counters.work_seconds),
        ):
            yield CounterMetricFamily(name, text, value)
        states = Counter(job.state for job in studio.jobs())
        jobs = GaugeMetricFamily("vivavoce_jobs", "Requests by state.", labels=["state"])
        for state in (JobState.QUEUED, JobState.RUNNING):
            jobs.add_metric([state.value], states[state])
        yield jobs
        limit = self._context.settings.max_queued
        yield GaugeMetricFamily("vivavoce_queue_limit", "Requests that may wait.", limit)

    def _memory(self) -> Iterator[Metric]:
        from prometheus_client.core import GaugeMetricFamily

        labels = ["device", "kind", "state"]
        count = GaugeMetricFamily("vivavoce_residents", "Models and caches held.", labels=labels)
        size = GaugeMetricFamily("vivavoce_resident_bytes", "Bytes they hold.", labels=labels)
        counts: Counter[tuple[str, str, str]] = Counter()
        sizes: Counter[tuple[str, str, str]] = Counter()
        for item in self._context.studio.memory.residents():
            key = (item.device, item.kind, item.state.value)
            counts[key] += 1
            sizes[key] += item.bytes
        for key in counts:
            count.add_metric(key, counts[key])
            size.add_metric(key, sizes[key])
        yield count
        yield size

    def _traffic(self) -> Iterator[Metric]:
        from prometheus_client.core import (
            CounterMetricFamily,
            GaugeMetricFamily,
            SummaryMetricFamily,
        )

        traffic = self._context.traffic
        answers = CounterMetricFamily(
            "vivavoce_http_answers", "Answers of the API, by status.", labels=["status"]
        )
        for status, count in dict(traffic.answers).items():
            answers.add_metric([str(status)], count)
        yield answers
        yield CounterMetricFamily(
            "vivavoce_broken_streams", "Streams that ended before their speech.", traffic.broken
        )
        yield GaugeMetricFamily(
            "vivavoce_open_streams", "Answers of speech open now.", self._context.slots.open
        )
        yield SummaryMetricFamily(
            "vivavoce_first_audio_seconds",
            "From the request to its first sound.",
            traffic.first_audio_count,
            traffic.first_audio_seconds,
        )


def _workers() -> Iterator[Metric]:
    """The processes in which engines keep libraries that must not share ours."""
    from prometheus_client.core import GaugeMetricFamily

    sizes = []
    for child in psutil.Process().children(recursive=True):
        try:
            sizes.append(child.memory_info().rss)
        except psutil.Error:  # it ended between the two looks
            continue
    yield GaugeMetricFamily("vivavoce_worker_processes", "Processes of engines.", len(sizes))
    yield GaugeMetricFamily("vivavoce_worker_resident_bytes", "Bytes they hold.", sum(sizes))
