"""Which of Gradio's files a visitor may fetch: those it was told of.

Gradio serves every file of its cache to whoever knows the path. A path holds a digest, or a random
number of ours, that nobody can guess; on a server with several users that is not all that stands
between them: a path counts for the one to whom an answer of Gradio's has named it.
"""

from __future__ import annotations

import re
from collections import OrderedDict

from server.errors import ClosedDoor, FileOfAnother

GRADIO = "/gradio_api/"
FILES = f"{GRADIO}file="
DIGEST = re.compile(r"/([0-9a-f]{32,64})/")
DIGEST_BYTES = re.compile(rb"/([0-9a-f]{32,64})/")
MOST = 100_000
# fetches what an address names, runs programs, or is for those who write an app: none is used here
CLOSED = (
    "proxy=", "vibe-", "undo-vibe-edit", "dev/", "process_recording", "deep_link", "profiling",
    "run-history", "runs", "token", "file/",
)  # fmt: skip
CLOSED_PAGES = ("/monitoring", "/svelte/")


class Told:
    """Files by digest and by whom they were named to. For the event loop's thread alone."""

    def __init__(self) -> None:
        self._told: OrderedDict[tuple[str, str], None] = OrderedDict()

    def note(self, owner: str, data: bytes) -> None:
        """Remember the files that a part of an answer names."""
        for found in DIGEST_BYTES.findall(data):
            key = owner, found.decode("ascii")
            self._told[key] = None
            self._told.move_to_end(key)
            if len(self._told) > MOST:
                self._told.popitem(last=False)

    def check(self, owner: str, path: str) -> None:
        """
        Raises:
            FileOfAnother: the file was never named to this visitor.
        """
        digests = DIGEST.findall(path)
        known = digests and all((owner, digest) in self._told for digest in digests)
        if not known or ".." in path.split("/"):
            raise FileOfAnother(
                "This file belongs to somebody else, or is gone.", "", "Make it again."
            )


def is_file(path: str) -> bool:
    return path.startswith(FILES)


def names_files(path: str) -> bool:
    """Whether an answer to this path may name files."""
    return path.startswith(GRADIO) and not is_file(path)


def check_door(path: str) -> None:
    """
    Raises:
        ClosedDoor: a part of Gradio that nothing here uses.
    """
    inner = path[len(GRADIO) :].lower() if path.startswith(GRADIO) else ""
    fetches = inner.startswith("file=") and "://" in inner
    if inner.startswith(CLOSED) or fetches or path.startswith(CLOSED_PAGES):
        raise ClosedDoor("There is nothing here.")
