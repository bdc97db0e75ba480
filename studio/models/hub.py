"""The Hugging Face Hub, through its own library: what a model consists of, and its bytes.

The library's `hf_hub_download` deletes what it has when a download is broken off, so the bytes are
read from the library's session here, from where the last try ended.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engines.errors import VivavoceError
from studio.models.catalogue import Model, Source
from studio.models.errors import ChecksumMismatch, DownloadFailed, LicenceNotAccepted, Offline
from studio.models.patterns import is_safe, matching

if TYPE_CHECKING:
    import httpx2

DIGEST = re.compile(r"sha256:[0-9a-f]{64}|git:[0-9a-f]{40}")
ANSWER_SECONDS = 15.0
STALL_SECONDS = 20.0  # without a byte, after which the connection counts as broken


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of a repository at a commit.

    Attributes:
        path: in the repository. place: in the model's folder.
        digest: "sha256:…" of the content, or "git:…", the object id that git gives a small file.
    """

    repo: str
    commit: str
    path: str
    place: str
    bytes: int
    digest: str

    def hasher(self) -> Any:
        """A hashlib object to be fed with the content; see `matches`."""
        if self.digest.startswith("sha256:"):
            return hashlib.sha256()
        return hashlib.sha1(b"blob %d\0" % self.bytes, usedforsecurity=False)

    def matches(self, hasher: Any) -> bool:
        return self.digest.partition(":")[2] == hasher.hexdigest()


@dataclass(frozen=True, slots=True)
class HubPlan:
    """What a download consists of, and the commit of each repository."""

    files: tuple[HubFile, ...]
    commits: dict[str, str]

    @property
    def total(self) -> int:
        return sum(file.bytes for file in self.files)


class Hub:
    """
    Args:
        endpoint: address of the Hub; None takes HF_ENDPOINT, or the public one.
    """

    def __init__(self, endpoint: str | None = None) -> None:
        self._endpoint = endpoint

    def plan(self, model: Model, *, accepted: bool) -> HubPlan:
        """Ask which files a model has now, with their sizes and checksums.

        Args:
            accepted: its licence was read; needed where the repository is gated.

        Raises:
            DownloadFailed, Offline: the Hub cannot be asked, or lacks a file.
            LicenceNotAccepted: the repository turns out to be gated.
        """
        files: list[HubFile] = []
        commits: dict[str, str] = {}
        for source in model.sources:
            info = self._info(source)
            if info.gated and not accepted:
                raise LicenceNotAccepted(
                    f"{source.repo} is gated: its owners want their terms accepted.",
                    f"The terms are at {source.url}.",
                    "Accept them there, confirm it here, and try again.",
                )
            if not re.fullmatch(r"[0-9a-f]{40}", info.sha or ""):
                raise _unusable(source, "gives no commit for it")
            commits[source.repo] = info.sha
            files += _wanted(source, info)
        return HubPlan(tuple(files), commits)

    def _info(self, source: Source) -> Any:
        from huggingface_hub import HfApi

        api = HfApi(endpoint=self._endpoint, library_name="vivavoce")
        try:
            return api.model_info(
                source.repo, revision=source.revision, files_metadata=True, timeout=ANSWER_SECONDS
            )
        except Exception as error:
            raise explained(error, source.repo) from error

    @contextmanager
    def read(self, file: HubFile, start: int) -> Iterator[httpx2.Response]:
        """The answer that holds a file's content from byte `start` on; a server that knows no
        ranges sends all of it, with status 200.

        Raises:
            httpx2.TransportError: no connection, or it broke; worth another try.
            huggingface_hub.errors.HfHubHTTPError: the Hub refuses; `explained` says it in words.
        """
        import httpx2
        from huggingface_hub import hf_hub_url
        from huggingface_hub.utils import (  # type: ignore[attr-defined]  # names them lazily
            build_hf_headers,
            get_session,
            hf_raise_for_status,
        )

        url = hf_hub_url(file.repo, file.path, revision=file.commit, endpoint=self._endpoint)
        headers = build_hf_headers(library_name="vivavoce")
        headers["Accept-Encoding"] = "identity"  # ranges count bytes of the file itself
        if start:
            headers["Range"] = f"bytes={start}-"
        timeout = httpx2.Timeout(ANSWER_SECONDS, read=STALL_SECONDS)
        with get_session().stream("GET", url, headers=headers, timeout=timeout) as answer:
            hf_raise_for_status(answer)
            yield answer


def _wanted(source: Source, info: Any) -> list[HubFile]:
    """The files on the allow-list, in its order, each once."""
    siblings = {one.rfilename: one for one in info.siblings or () if is_safe(one.rfilename)}
    files: dict[str, HubFile] = {}
    for wanted in source.files:
        paths = [path for path in matching(wanted.path, siblings) if path not in files]
        if not paths and not wanted.optional:
            raise _unusable(source, f"has no {wanted.path} in it")
        for path in sorted(paths):
            one = siblings[path]
            digest = f"sha256:{one.lfs.sha256}" if one.lfs else f"git:{one.blob_id}"
            if one.size is None or not re.fullmatch(
                r"sha256:[0-9a-f]{64}|git:[0-9a-f]{40}", digest
            ):
                raise _unusable(source, f"gives no size and checksum of {path}")
            if wanted.sha256 and one.lfs and wanted.sha256 != one.lfs.sha256:
                raise ChecksumMismatch(
                    f"{path} of {source.repo} is not the file that this version knows.",
                    f"It should have the SHA-256 {wanted.sha256}.",
                    "Nothing was downloaded. Look for a newer version of Vivavoce.",
                )
            place = wanted.to or path
            files[path] = HubFile(source.repo, info.sha, path, place, one.size, digest)
    return list(files.values())


def _unusable(source: Source, what: str) -> DownloadFailed:
    return DownloadFailed(
        f"The Hub {what}: {source.repo} at {source.revision}.",
        "The repository was changed since this version of Vivavoce was made.",
        f"Look at {source.url}, or for a newer version of Vivavoce.",
    )


def explained(error: BaseException, repo: str) -> VivavoceError:
    """An error of the Hub's library in words that say what to do."""
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    url = f"https://huggingface.co/{repo}"
    if isinstance(error, VivavoceError):
        return error
    if isinstance(error, OfflineModeIsEnabled):
        return offline()
    if isinstance(error, HfHubHTTPError):
        return _refused(error.response.status_code, repo, url)
    return DownloadFailed(
        f"The Hugging Face Hub cannot be reached ({_short(error)}).",
        "",
        f"Check the network and try again; it goes on where it stopped. By hand: {url}.",
    )


def _refused(status: int, repo: str, url: str) -> DownloadFailed:
    if status in (401, 403):
        return DownloadFailed(
            f"The Hub does not give {repo} to you ({status}).",
            "It is gated, private, or no longer there.",
            f"Open {url} and accept its terms, sign in with hf auth login or set HF_TOKEN, "
            "then try again.",
        )
    if status == 404:
        return DownloadFailed(
            f"The Hub has no such file or revision of {repo} (404).",
            "The repository was moved or changed since this version of Vivavoce was made.",
            f"Look at {url}, or for a newer version of Vivavoce.",
        )
    if status == 429:
        return DownloadFailed(
            "The Hub has had too many requests from this address (429).",
            "",
            "Try again in a few minutes; it goes on where it stopped.",
        )
    return DownloadFailed(
        f"The Hub answered {status} for {repo}.",
        "",
        "Try again in a few minutes; it goes on where it stopped.",
    )


def offline() -> Offline:
    return Offline(
        "This program runs offline.",
        "No connection to another machine is made.",
        "Start it without --offline and HF_HUB_OFFLINE, or put the model's folder into the "
        "models directory yourself.",
    )


def _short(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return f"{text[:150]}".rstrip(".")
