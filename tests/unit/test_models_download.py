"""Downloads from a Hub on this machine: whole, resumed, broken, refused, cancelled."""

from __future__ import annotations

import errno
import shutil
from types import SimpleNamespace

import pytest

from engines.errors import StorageError
from studio.models import DownloadState, InstalledState, ModelShelf, record, transfer
from studio.models.catalogue import WantedFile
from studio.models.errors import (
    ChecksumMismatch,
    DownloadFailed,
    LicenceNotAccepted,
    NotAllowedHere,
    Offline,
    UnknownModel,
)
from studio.models.pace import Pace
from tests.fake_hub import Repo, fake_hub
from tests.models_help import BOUND, FILES, WANTED, catalogue, lay_out, model, settings, tree
from tests.servers import wait_until

LARGE = "model.safetensors"


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    monkeypatch.setattr(transfer, "WAITS", (0.0, 0.0))


@pytest.fixture
def hub():
    with fake_hub() as hub:
        hub.repos["toys/one"] = Repo(dict(FILES))
        yield hub


@pytest.fixture
def make(hub, tmp_path):
    shelves = []

    def made(*models, **values) -> ModelShelf:
        shelves.append(
            ModelShelf(
                settings(tmp_path, **values),
                endpoint=hub.url,
                catalogue=catalogue(*(models or (model(),))),
            )
        )
        return shelves[-1]

    yield made
    hub.release.set()
    for shelf in shelves:
        shelf.close()


@pytest.fixture
def shelf(make):
    return make()


def finished(shelf, name="toy-v1", **values):
    download = shelf.download(name, **values)
    assert download.wait(20)
    return download


def failed(shelf, **values):
    download = finished(shelf, **values)
    assert download.progress().state is DownloadState.FAILED
    return download.error


def home(shelf):
    return shelf.root / "toys" / "toy-v1"


def part(shelf):
    return shelf.root / "toys" / "toy-v1.part"


def test_only_what_is_wanted_arrives_whole_and_with_a_note(shelf, hub) -> None:
    download = finished(shelf)
    assert download.error is None
    assert tree(home(shelf)) == {path: FILES[path] for path in WANTED}
    progress = download.progress()
    assert progress.state is DownloadState.DONE
    assert progress.done == progress.total == sum(len(FILES[path]) for path in WANTED)
    note = record.read(home(shelf))
    assert note.revisions == {"toys/one": "c" * 40}
    assert set(note.files) == set(WANTED)
    assert note.files[LARGE].digest.startswith("sha256:")
    assert note.files["config.json"].digest.startswith("git:")
    assert not part(shelf).exists()
    (one,) = shelf.installed()
    assert (one.state, one.ours, one.unfinished) == (InstalledState.COMPLETE, True, False)
    assert not hub.fetched("train.py") and not hub.fetched("samples/huge.wav")


def test_a_connection_that_breaks_is_taken_up_where_it_broke(shelf, hub) -> None:
    hub.repos["toys/one"].breaks = [(LARGE, 100_000), (LARGE, 50_000)]
    assert finished(shelf).error is None
    assert tree(home(shelf))[LARGE] == FILES[LARGE]
    assert hub.fetched(LARGE) == ["", "bytes=100000-", "bytes=150000-"]


def test_a_server_without_ranges_sends_it_all_again(shelf, hub) -> None:
    hub.repos["toys/one"].ranges = False
    hub.repos["toys/one"].breaks = [(LARGE, 100_000)]
    assert finished(shelf).error is None
    assert tree(home(shelf))[LARGE] == FILES[LARGE]


def test_a_server_that_keeps_breaking_is_given_up_and_another_run_goes_on(make, hub) -> None:
    shelf = make()
    hub.repos["toys/one"].breaks = [(LARGE, 1000), *[(LARGE, 0)] * 3]
    error = failed(shelf)
    assert isinstance(error, DownloadFailed) and "cannot be reached" in error.given
    assert "https://huggingface.co/toys/one" in error.todo
    assert not home(shelf).exists()
    (one,) = shelf.installed()
    assert (one.key, one.unfinished) == ("toys/toy-v1.part", True)
    assert one.state is InstalledState.PARTIAL
    assert one.bytes == 1000 + len(FILES["config.json"]) < one.total
    hub.asked.clear()
    again = make()
    assert finished(again).error is None
    assert hub.fetched(LARGE) == ["bytes=1000-"]
    assert not hub.fetched("config.json"), "it was finished before"
    assert tree(home(again)) == {path: FILES[path] for path in WANTED}


@pytest.mark.parametrize("path", [LARGE, "config.json"])
def test_a_wrong_checksum_never_gets_its_name(shelf, hub, path) -> None:
    hub.repos["toys/one"].spoilt = {path}
    error = failed(shelf)
    assert isinstance(error, ChecksumMismatch)
    assert path in error.given and "thrown away" in error.todo
    assert not list(part(shelf).rglob(f"{path}*")), "nothing of it stays"
    assert not home(shelf).exists()
    hub.repos["toys/one"].spoilt = set()
    assert finished(shelf).error is None


def test_what_was_resumed_and_is_wrong_is_fetched_anew(shelf, hub) -> None:
    hub.repos["toys/one"].breaks = [(LARGE, 1000), *[(LARGE, 0)] * 3]
    failed(shelf)
    (left,) = part(shelf).glob("*.incomplete")
    left.write_bytes(b"x" * 1000)
    hub.asked.clear()
    assert finished(shelf).error is None
    assert hub.fetched(LARGE) == ["bytes=1000-", ""]
    assert tree(home(shelf))[LARGE] == FILES[LARGE]


def test_too_much_is_thrown_away(shelf, hub) -> None:
    hub.repos["toys/one"].breaks = [(LARGE, 1000), *[(LARGE, 0)] * 3]
    failed(shelf)
    (left,) = part(shelf).glob("*.incomplete")
    left.write_bytes(b"x" * 1_000_000)
    assert finished(shelf).error is None


@pytest.mark.parametrize(
    ("status", "said"), [(401, "sign in"), (403, "accept its terms"), (404, "404"), (500, "500")]
)
def test_the_hub_refuses(shelf, hub, status, said) -> None:
    hub.repos["toys/one"].status = status
    error = failed(shelf)
    assert isinstance(error, DownloadFailed)
    assert said in str(error)
    assert not part(shelf).exists()


def test_a_repository_that_is_gone(shelf, hub) -> None:
    del hub.repos["toys/one"]
    assert "no longer there" in failed(shelf).allowed


def test_a_file_that_is_gone_is_named_before_anything_is_fetched(shelf, hub) -> None:
    del hub.repos["toys/one"].files[LARGE]
    assert LARGE in failed(shelf).given
    assert not hub.fetched("config.json")


def test_no_network(tmp_path) -> None:
    shelf = ModelShelf(
        settings(tmp_path), endpoint="http://127.0.0.1:9", catalogue=catalogue(model())
    )
    assert "cannot be reached" in failed(shelf).given


def test_offline_nothing_is_even_tried(make, hub) -> None:
    with pytest.raises(Offline, match="runs offline"):
        make(offline=True).download("toy-v1")
    assert hub.asked == []


def test_a_gated_repository_wants_its_terms_read(shelf, hub) -> None:
    hub.repos["toys/one"].gated = "auto"
    assert isinstance(failed(shelf), LicenceNotAccepted)
    assert "accept its terms" in failed(shelf, accept_licence=True).todo


def test_a_licence_with_limits_has_to_be_accepted(make, hub) -> None:
    shelf = make(model(licence=BOUND))
    with pytest.raises(LicenceNotAccepted) as caught:
        shelf.download("toy-v1")
    assert "does not allow commercial use" in caught.value.given
    assert caught.value.param == "accept_licence"
    assert hub.asked == []
    assert finished(shelf, accept_licence=True).error is None
    assert record.read(home(shelf)).accepted.endswith("Z")


def test_a_known_checksum_is_held_against_the_hub(make, hub) -> None:
    shelf = make(model(files=(WantedFile(LARGE, sha256="0" * 64),)))
    error = failed(shelf)
    assert isinstance(error, ChecksumMismatch)
    assert not hub.fetched(LARGE)


def test_names_that_lead_out_of_the_folder_are_left_out(make, hub) -> None:
    for name in ("../out.bin", "/out.bin", "a/../../out.bin", "a\\out.bin", "C:out.bin"):
        hub.repos["toys/one"].files[name] = b"out"
    shelf = make(model(files=(WantedFile("**/*"),)))
    assert finished(shelf).error is None
    assert set(tree(home(shelf))) == set(FILES)
    assert not list(shelf.root.parent.rglob("out.bin"))


def test_a_full_disk_is_seen_before_the_first_byte(shelf, hub, monkeypatch) -> None:
    usage = SimpleNamespace(total=1, used=1, free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    error = failed(shelf)
    assert isinstance(error, StorageError)
    assert "are free where models are kept" in error.given
    assert not hub.fetched("config.json")


def test_a_disk_that_fills_up_on_the_way(shelf, monkeypatch) -> None:
    def full(self, block):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(transfer._Incoming, "add", full)
    error = failed(shelf)
    assert isinstance(error, StorageError) and error.given == "The disk is full."


def test_a_folder_that_cannot_be_written(make, tmp_path) -> None:
    shelf = make()
    shelf.root.mkdir()
    (shelf.root / "toys").write_text("in the way")
    assert isinstance(failed(shelf), StorageError)


def test_cancelling_ends_a_download_that_hangs_and_keeps_what_is_there(shelf, hub) -> None:
    repo = hub.repos["toys/one"]
    repo.hangs = {LARGE}
    download = shelf.download("toy-v1")
    half = len(FILES[LARGE]) // 2
    wait_until(lambda: download.progress().done >= half, "half of it")
    assert download.progress().state is DownloadState.RUNNING
    assert shelf.download("toy-v1") is download, "one at a time"
    assert shelf.cancel("toy-v1")
    assert download.progress().state is DownloadState.CANCELLED
    assert download.wait(5), "the thread that waited for bytes has to wake up"
    assert download.error is None
    assert not shelf.cancel("toy-v1")
    repo.hangs = set()
    hub.asked.clear()
    assert finished(shelf).error is None
    assert hub.fetched(LARGE) == [f"bytes={half}-"]


def test_two_programs_do_not_download_the_same_model_at_once(make, hub) -> None:
    first, second = make(), make()
    hub.repos["toys/one"].hangs = {LARGE}
    download = first.download("toy-v1")
    wait_until(lambda: download.progress().done > 100_000, "the first one at work")
    assert "downloads toy-v1 already" in failed(second).given
    assert download.progress().state is DownloadState.RUNNING


def test_files_that_another_model_has_are_not_fetched_again(make, hub, tmp_path) -> None:
    shelf = make(model(), model("toy-v2", repo="toys/two"))
    hub.repos["toys/two"] = Repo({**FILES, "config.json": b'{"kind": "toy", "version": 2}'})
    finished(shelf)
    hub.asked.clear()
    assert finished(shelf, "toy-v2").error is None
    assert not hub.fetched(LARGE) and len(hub.fetched("config.json")) == 1
    second = shelf.root / "toys" / "toy-v2"
    assert (second / LARGE).samefile(home(shelf) / LARGE), "it takes no room twice"
    shelf.remove("toys/toy-v1")
    assert (second / LARGE).read_bytes() == FILES[LARGE]


def test_a_file_of_a_persons_own_is_copied(make, hub) -> None:
    shelf = make()
    own = lay_out(shelf.root / "mine", {**FILES, "deep/down/voices.pth": b"\x80other"})
    assert finished(shelf).error is None
    assert not hub.fetched(LARGE)
    assert not (own / LARGE).samefile(home(shelf) / LARGE)
    assert (home(shelf) / "deep/down/voices.pth").read_bytes() == FILES["deep/down/voices.pth"]


def test_a_damaged_model_is_repaired_with_what_is_still_good(shelf, hub) -> None:
    finished(shelf)
    (home(shelf) / "config.json").unlink()
    (home(shelf) / "old.bin").write_bytes(b"old")
    assert shelf.installed()[0].state is InstalledState.PARTIAL
    hub.asked.clear()
    assert finished(shelf).error is None
    assert not hub.fetched(LARGE)
    assert set(tree(home(shelf))) == set(WANTED)
    assert shelf.installed()[0].state is InstalledState.COMPLETE


def test_an_update_leaves_nothing_of_the_revision_before(shelf, hub) -> None:
    repo = hub.repos["toys/one"]
    repo.breaks = [(LARGE, 1000), *[(LARGE, 0)] * 3]
    failed(shelf)
    repo.files[LARGE] = FILES[LARGE][:-1] + b"!"
    repo.commit = "d" * 40
    assert finished(shelf).error is None
    assert set(tree(home(shelf))) == set(WANTED)
    assert record.read(home(shelf)).revisions == {"toys/one": "d" * 40}


def test_nobody_downloads_on_a_shared_machine(make, hub) -> None:
    shelf = make(shared=True)
    with pytest.raises(NotAllowedHere):
        shelf.download("toy-v1")
    with pytest.raises(NotAllowedHere):
        shelf.cancel("toy-v1")
    assert hub.asked == []


def test_a_model_that_is_not_in_the_catalogue(shelf) -> None:
    with pytest.raises(UnknownModel, match=r"'\.\./x'.*toy-v1"):
        shelf.download("../x")


def test_speed_and_time_left() -> None:
    now = [100.0]
    pace = Pace(clock=lambda: now[0])
    assert pace.speed() is None and pace.left(10) is None
    pace.add(0)
    now[0] += 2
    pace.add(400)
    assert pace.speed() == 200
    assert pace.left(1000) == 5
    now[0] += 2
    assert pace.speed() == 100, "what has stalled gets slower"
    now[0] += 20
    pace.add(500)
    assert pace.speed() is None, "what lies long ago does not count"


def test_progress_tells_file_and_speed(shelf, hub) -> None:
    hub.repos["toys/one"].hangs = {LARGE}
    download = shelf.download("toy-v1")
    wait_until(lambda: download.progress().speed, "a speed")
    progress = download.progress()
    assert progress.file == LARGE
    assert progress.left > 0
    assert 0 < progress.done < progress.total


def test_closing_breaks_off_what_is_on(make, hub) -> None:
    shelf = make()
    hub.repos["toys/one"].hangs = {LARGE}
    download = shelf.download("toy-v1")
    wait_until(lambda: download.progress().done > 100_000, "at work")
    shelf.close()
    assert download.wait(0)
    assert download.progress().state is DownloadState.CANCELLED
