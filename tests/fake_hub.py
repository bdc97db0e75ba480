"""A small Hugging Face Hub on this machine: what its library asks for, and its ways to fail."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

LARGE = 1000  # bytes from which a file is one of Git LFS


@dataclass
class Repo:
    """A repository. `files` are its contents by path.

    Attributes:
        spoilt: paths whose bytes arrive changed.
        breaks: path → bytes after which the connection breaks, once each time it is listed.
        hangs: paths of which nothing more comes after the first half.
        status: answered to every request, where it is not 200.
        ranges: whether parts of a file may be asked for.
    """

    files: dict[str, bytes]
    commit: str = "c" * 40
    gated: bool | str = False
    status: int = 200
    ranges: bool = True
    spoilt: set[str] = field(default_factory=set)
    breaks: list[tuple[str, int]] = field(default_factory=list)
    hangs: set[str] = field(default_factory=set)


@dataclass
class FakeHub:
    """`asked` are the requests so far: method, path, Range."""

    url: str = ""
    repos: dict[str, Repo] = field(default_factory=dict)
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    release: threading.Event = field(default_factory=threading.Event)

    def fetched(self, path: str) -> list[str]:
        """The Range of each request for a file, "" for all of it."""
        return [part for _, asked, part in self.asked if asked.endswith(f"/{path}")]


@contextmanager
def fake_hub() -> Iterator[FakeHub]:
    hub = FakeHub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield hub
    finally:
        hub.release.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append((self.command, path, self.headers.get("Range", "")))
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/revision/(.+)", path):
            self._info(found[1], found[2])
        elif found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([0-9a-f]{40})/(.+)", path):
            self._file(found[1], found[2], found[3])
        else:
            self._refuse(404, "RepoNotFound")

    def _info(self, name: str, revision: str) -> None:
        repo = self.hub.repos.get(name)
        if repo is None:
            # what the real one says to somebody who is not signed in
            return self._refuse(401, "RepoNotFound")
        if repo.status != 200:
            return self._refuse(repo.status, "GatedRepo" if repo.status == 403 else "")
        if revision not in ("main", repo.commit):
            return self._refuse(404, "RevisionNotFound")
        siblings = []
        for path, content in repo.files.items():
            blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            one = {"rfilename": path, "size": len(content), "blobId": blob}
            if len(content) >= LARGE:
                sha256 = hashlib.sha256(content).hexdigest()
                one["lfs"] = {"size": len(content), "sha256": sha256, "pointerSize": 130}
            siblings.append(one)
        body = {"id": name, "sha": repo.commit, "gated": repo.gated, "siblings": siblings}
        return self._send(200, json.dumps(body).encode(), {"Content-Type": "application/json"})

    def _file(self, name: str, commit: str, path: str) -> None:
        repo = self.hub.repos.get(name)
        if repo is None or path not in repo.files or commit != repo.commit:
            return self._refuse(404, "EntryNotFound")
        if repo.gated:
            return self._refuse(401, "GatedRepo")
        content = repo.files[path]
        if path in repo.spoilt:
            content = bytes([content[0] ^ 1]) + content[1:]
        start, headers, status = 0, {}, 200
        if repo.ranges and (part := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))):
            start, status = int(part[1]), 206
            if start >= len(content):
                return self._refuse(416, "")
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        return self._send(status, content[start:], headers, repo, path)

    def _send(
        self,
        status: int,
        body: bytes,
        headers: dict[str, str],
        repo: Repo | None = None,
        path: str = "",
    ) -> None:
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        if repo and path in repo.hangs:
            self.wfile.write(body[: len(body) // 2])
            self.hub.release.wait(30)
            self.close_connection = True
            return
        broken = next((one for one in repo.breaks if one[0] == path), None) if repo else None
        if repo and broken:
            repo.breaks.remove(broken)
            self.wfile.write(body[: broken[1]])
            self.close_connection = True
            return
        self.wfile.write(body)

    def _refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()
