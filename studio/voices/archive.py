"""A voice as one zip file: a manifest and the clips.

Nothing is unpacked by the names in the file: a member is read when the manifest names it, no
further than its size was announced and allowed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from engines.errors import StorageError
from studio.voices import clips, files, manifest
from studio.voices.errors import BadVoiceFile
from studio.voices.manifest import Manifest, ManifestClip
from studio.voices.records import LibraryVoice, NewClip, VoiceClip
from studio.voices.shelf import MAX_CLIPS

MAX_BYTES = 2_000_000_000  # of the zip, and of what it holds
MAX_MANIFEST = 64_000_000
MAX_DIRECTORY = (MAX_CLIPS + 1) * 200  # bytes of the list of members, which is read at once
MAX_RATIO = 50  # what is held / the file: sound never shrinks so far
SMALL = 1_000_000  # bytes below which the ratio does not count
END = struct.Struct("<4s4H2LH")  # of the list of members
END_SEARCHED = END.size + 65_535  # a comment may follow
ZIP64_LOCATOR = 20  # bytes before the end, in larger files than ours
BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    OSError,
    RuntimeError,
    UnicodeError,
    ValueError,
    struct.error,
)


def export(voice: LibraryVoice, read_clip: Callable[[VoiceClip], bytes], to: Path) -> Path:
    """Write a voice to a file, one clip after the other, whole or not at all.

    Raises:
        StorageError: it cannot be written.
        BadVoiceFile: the voice is larger than 2 GB.
    """
    contents = Manifest.of(voice)
    part = to.with_name(f".{to.name}.{files.new_id()}.part")
    try:
        with files.translated(to), part.open("xb") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=False) as zipped:
                _put(zipped, manifest.NAME, contents.model_dump_json(indent=1).encode())
                for clip, listed in zip(voice.clips, contents.clips, strict=True):
                    _put(zipped, listed.file, read_clip(clip))
                    if file.tell() > MAX_BYTES:
                        raise _too_large(f"{file.tell():,} bytes or more")
            file.flush()
            os.fsync(file.fileno())
        with files.translated(to):
            part.replace(to)
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
    return to


class VoiceFile:
    """An opened voice file whose members are what its manifest says.

    Attributes:
        manifest: checked, apart from what single fields take.
    """

    def __init__(self, zipped: zipfile.ZipFile, size: int) -> None:
        self._zipped = zipped
        members = _checked_members(zipped, size)
        if manifest.NAME not in members:
            raise _bad(f"holds no {manifest.NAME}")
        self.manifest = manifest.parse(self._read(members[manifest.NAME], MAX_MANIFEST))
        expected = {manifest.NAME, *(clip.file for clip in self.manifest.clips)}
        if len(expected) <= len(self.manifest.clips):
            raise _bad("names a clip twice")
        for name in (*sorted(members.keys() - expected), *sorted(expected - members.keys())):
            raise _bad(f"{'holds' if name in members else 'lacks'} {name!r:.120}")
        self._members = members

    def clip(self, listed: ManifestClip) -> NewClip:
        """
        Raises:
            BadVoiceFile: it is damaged or not the clip that the manifest means.
        """
        wav = self._read(self._members[listed.file], clips.MAX_BYTES)
        if hashlib.sha256(wav).hexdigest() != listed.sha256:
            raise _bad(f"holds another {listed.file} than its manifest says")
        return NewClip(wav, listed.transcript, listed.language, listed.sha256)

    def _read(self, member: zipfile.ZipInfo, limit: int) -> bytes:
        if member.file_size > limit:
            raise _too_large(f"{member.file_size:,} bytes in {member.filename:.80}")
        try:
            with self._zipped.open(member) as file:
                data = file.read(limit + 1)
        except BROKEN as error:
            raise _bad(f"is damaged at {member.filename:.80} ({error!s:.200})") from error
        if len(data) != member.file_size:
            raise _bad(f"holds {member.filename:.80} of another length than it says")
        return data


@contextlib.contextmanager
def opened(path: Path) -> Iterator[VoiceFile]:
    """
    Raises:
        BadVoiceFile: it is no voice file, is damaged, or would be too large.
        StorageError: it cannot be read at all.
    """
    try:
        size = path.stat().st_size
        file = path.open("rb")
    except OSError as error:
        raise StorageError(
            f"{path} cannot be read ({error.strerror or error}).",
            "",
            "Give the voice file that was exported.",
        ) from error
    with file:
        _check_directory(file, size)
        try:
            zipped = zipfile.ZipFile(file)
        except BROKEN as error:
            raise _bad(f"is no zip file that can be read ({error!s:.200})") from error
        with zipped:
            yield VoiceFile(zipped, size)


def _check_directory(file: IO[bytes], size: int) -> None:
    """Look at the announced list of members, since it is read into memory as a whole."""
    if size > MAX_BYTES:
        raise _too_large(f"{size:,} bytes")
    file.seek(max(0, size - END_SEARCHED - ZIP64_LOCATOR))
    tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < END.size:
        raise _bad("is no zip file, or is cut off")
    _, _, _, _, members, length, _, _ = END.unpack_from(tail, at)
    if tail[max(0, at - ZIP64_LOCATOR) : at].startswith(b"PK\x06\x07"):
        raise _too_large("a list of members for more than 4 GB")
    if members > MAX_CLIPS + 1 or length > MAX_DIRECTORY:
        raise _too_large(f"{members:,} members in a list of {length:,} bytes")
    file.seek(0)


def _checked_members(zipped: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    found: dict[str, zipfile.ZipInfo] = {}
    for member in zipped.infolist():
        # the given name too: from a NUL on, or beside a foreign separator, it is not the same
        name = member.orig_filename
        if name in found:
            raise _bad(f"holds {name!r:.120} twice")
        if name != member.filename or name.startswith("/") or ".." in name or "\\" in name:
            raise _bad(f"holds the name {name!r:.120}")
        kind = stat.S_IFMT(member.external_attr >> 16)
        if member.is_dir() or kind not in (0, stat.S_IFREG):
            raise _bad(f"holds {name!r:.120}, which is a folder, a link or a device")
        if member.flag_bits & 1:
            raise _bad(f"has a password on {name!r:.120}")
        found[name] = member
    total = sum(member.file_size for member in found.values())
    if total > MAX_BYTES or (total > SMALL and total > MAX_RATIO * size):
        raise _too_large(f"{total:,} bytes in a file of {size:,}")
    return found


def _put(zipped: zipfile.ZipFile, name: str, data: bytes) -> None:
    info = zipfile.ZipInfo(name)  # the same voice gives the same file
    info.external_attr = (stat.S_IFREG | 0o644) << 16
    try:
        zipped.writestr(info, data)
    except zipfile.LargeZipFile as error:
        raise _too_large("more than 2 GB") from error


def _bad(what: str) -> BadVoiceFile:
    return BadVoiceFile(
        f"The voice file {what}.",
        "It takes a zip file that Vivavoce exported, as it was.",
        "Export the voice again where it came from.",
        param="file",
    )


def _too_large(what: str) -> BadVoiceFile:
    return BadVoiceFile(
        f"The voice file has {what}.",
        f"It takes {MAX_BYTES:,} bytes packed or unpacked, {MAX_CLIPS:,} clips, and nothing that "
        f"shrinks to less than 1/{MAX_RATIO}.",
        "Split the voice into several.",
        param="file",
    )
