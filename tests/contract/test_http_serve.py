"""From the first connection to the last: start, a UI beside the API, signals, shutdown."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from tests.servers import ROOT, STOP_SECONDS, wait_until

# a studio whose engine takes 20 ms a word, served until a signal comes
PROGRAM = """
import sys, time
from pathlib import Path
import pytest
from server.serve import serve
from studio.settings import Settings
from studio.studio import Studio
from tests import fakes

class Slow:
    def wait(self, timeout):
        time.sleep(0.02)
        return True

fakes.install(pytest.MonkeyPatch()).gate = Slow()
folder, grace, with_ui = Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3] == "ui"
ui = None
if with_ui:
    import gradio
    with gradio.Blocks() as ui:
        gradio.Markdown("Words on a page")
studio = Studio(Settings(data_dir=folder, presets_dir=folder / "none", shared=False))
serve(studio, "127.0.0.1", 0, ui=ui, ready=lambda url: print(url, flush=True), grace=grace)
print("closed", flush=True)
"""


@contextmanager
def running(tmp_path, grace: float, ui: str = "") -> Iterator[tuple[subprocess.Popen, str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(tmp_path), str(grace), ui],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=(tmp_path / "errors.log").open("wb"),
        text=True,
    )
    try:
        url = process.stdout.readline().strip()
        assert url.startswith("http://127.0.0.1:"), (tmp_path / "errors.log").read_text()
        yield process, url
    finally:
        process.kill()
        process.wait()


def body(words: int) -> dict:
    return {"model": "tone", "input": "one two three. " * (words // 3), "response_format": "pcm"}


def seconds_of(size: int) -> float:
    return size / 2 / 24_000


def test_a_signal_lets_speech_in_work_end_and_refuses_new(tmp_path) -> None:
    with running(tmp_path, grace=60) as (process, url):
        with httpx.stream("POST", f"{url}/v1/audio/speech", json=body(150), timeout=60) as answer:
            parts = answer.iter_raw()
            size = len(next(parts))
            process.send_signal(signal.SIGTERM)
            wait_until(lambda: httpx.get(f"{url}/readyz").status_code == 503, "it stops")
            assert httpx.get(f"{url}/healthz").status_code == 200
            refused = httpx.post(f"{url}/v1/audio/speech", json=body(3))
            assert refused.status_code == 503
            assert refused.json()["error"]["code"] == "shutting_down"
            size += sum(map(len, parts))
        assert seconds_of(size) > 0.2 * 150 * 0.8
        assert process.wait(STOP_SECONDS) == 0
        assert process.stdout.read() == "closed\n"


def test_speech_that_takes_too_long_is_broken_off(tmp_path) -> None:
    with running(tmp_path, grace=0.2) as (process, url):
        with httpx.stream("POST", f"{url}/v1/audio/speech", json=body(9000), timeout=60) as answer:
            parts = answer.iter_raw()
            next(parts)
            process.send_signal(signal.SIGINT)
            with pytest.raises(httpx.RemoteProtocolError):
                for _ in parts:
                    pass
        assert process.wait(STOP_SECONDS) == 0
        assert process.stdout.read() == "closed\n"
    log = (tmp_path / "errors.log").read_text()
    assert "shutting down" in log
    assert "Traceback" not in log


def test_a_ui_lives_beside_the_api_and_holds_nothing_up(tmp_path) -> None:
    with running(tmp_path, grace=60, ui="ui") as (process, url):
        page = httpx.get(url)
        assert page.status_code == 200
        assert "Words on a page" in page.text
        assert page.headers["x-content-type-options"] == "nosniff"
        assert httpx.get(f"{url}/readyz").json() == {"status": "ready"}
        assert httpx.get(f"{url}/docs").status_code == 200
        assert httpx.get(f"{url}/openapi.json").json()["info"]["title"] == "Vivavoce"
        for path, status in (("/v1/nothing", 404), ("/v1/audio/speech", 405)):
            answer = httpx.get(url + path)
            assert answer.status_code == status
            assert answer.json()["error"]["type"] == "invalid_request_error"
        spoken = httpx.post(f"{url}/v1/audio/speech", json=body(3))
        assert spoken.status_code == 200
        with httpx.stream("GET", f"{url}/gradio_api/heartbeat/abc", timeout=60) as beat:
            assert next(beat.iter_lines()).startswith("data:")
            process.send_signal(signal.SIGTERM)
            assert process.wait(STOP_SECONDS) == 0
        assert process.stdout.read() == "closed\n"
    assert "Traceback" not in (tmp_path / "errors.log").read_text()


def test_garbage_on_the_line_hurts_nobody(tmp_path) -> None:
    with running(tmp_path, grace=1) as (process, url):
        address = ("127.0.0.1", int(url.rpartition(":")[2]))
        for garbage in (
            b"\x16\x03\x01\x02\x00\x01\x00",
            b"GET\r\n\r\n",
            b"POST / HTTP/9.9\r\n\r\n",
        ):
            with socket.create_connection(address, timeout=20) as connection:
                connection.sendall(garbage + b"\r\n\r\n")
                assert b"200" not in connection.recv(1000)
        assert httpx.get(f"{url}/readyz").status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(STOP_SECONDS) == 0


def test_importing_the_server_loads_nothing_heavy() -> None:
    heavy = ("torch", "scipy", "gradio", "onnxruntime", "transformers", "prometheus_client")
    code = f"import sys, server.serve; print([m for m in {heavy} if m in sys.modules])"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"
