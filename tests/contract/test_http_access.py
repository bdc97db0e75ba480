"""What the real server lets in and what not: over TLS, on every interface, with users, and against
what one tries first."""

from __future__ import annotations

import base64
import http.server
import json
import re
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

from commands.main import main
from server.answers import ErrorAnswer
from server.gate import addresses
from tests.servers import ROOT, ServerProcess, free_port, server_process

SPEECH = "/v1/audio/speech"
SAY = {"input": "Hello.", "response_format": "wav"}
BROWSER = {"Accept": "text/html"}
ADA, BOB = ("ada", "correct horse"), ("bob", "battery staple")

# a page of a few events behind the real gate, with two users; who sends a body has 2 s for it
PROGRAM = """
import secrets
import sys
from pathlib import Path
import gradio as gr
import pytest
from server.gate import rates
from server.gate.access import Access
from server.gate.gate import Rules
from server.gate.hosts import Hosts
from server.serve import serve
from studio.settings import Settings
from studio.studio import Studio
from tests import fakes
from ui.owner import owner_of

rates.BODY_SECONDS = 2
fakes.install(pytest.MonkeyPatch())
folder = Path(sys.argv[1])
studio = Studio(Settings(data_dir=folder, presets_dir=folder / "none", shared=False))

def whose(visitor: gr.Request):
    return owner_of(studio, visitor)

def slowly(visitor: gr.Request):
    yield "first"
    yield owner_of(studio, visitor)

def read(path):
    return Path(path).read_text()

def make(text):
    file = folder / "cache" / "gradio" / secrets.token_hex(16) / "made.txt"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    return str(file)

with gr.Blocks() as ui:
    text, file = gr.Textbox(), gr.File()
    gr.Button().click(whose, None, text, api_name="whose")
    gr.Button().click(slowly, None, text, api_name="slowly")
    gr.Button().click(read, file, text, api_name="read")
    gr.Button().click(make, text, file, api_name="make")
users = {"ada": "correct horse", "bob": "battery staple"}
rules = Rules(Access([], users), Hosts("127.0.0.1"))
serve(studio, "127.0.0.1", 0, ui=ui, rules=rules, grace=0,
      ready=lambda url: print(url, flush=True))
"""


@pytest.fixture(scope="module")
def lan(tmp_path_factory) -> Iterator[ServerProcess]:
    """The whole program for every interface, by HTTPS, with the token that it makes."""
    with server_process(tmp_path_factory.mktemp("lan"), "--https", host="0.0.0.0") as server:
        yield server


@pytest.fixture(scope="module")
def family(tmp_path_factory) -> Iterator[SimpleNamespace]:
    """The URL of a server with two users, and its folder."""
    folder = tmp_path_factory.mktemp("family")
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(folder)],
        cwd=ROOT,
        env={"GRADIO_TEMP_DIR": str(folder / "cache" / "gradio"), "PATH": "", "HOME": str(folder)},
        stdout=subprocess.PIPE,
        stderr=(folder / "errors.log").open("wb"),
        text=True,
    )
    try:
        url = process.stdout.readline().strip()
        assert url, (folder / "errors.log").read_text()
        yield SimpleNamespace(url=url, folder=folder)
    finally:
        process.kill()
        process.wait()


def token_of(server: ServerProcess) -> str:
    return (server.data_dir / "token").read_text().strip()


def browser(server: ServerProcess, **options) -> httpx.Client:
    """A browser that trusts the server's certificate."""
    trust = ssl.create_default_context(cafile=server.data_dir / "tls" / "vivavoce.pem")
    return httpx.Client(base_url=server.url, verify=trust, timeout=30, **options)


@contextmanager
def logged_in(family: SimpleNamespace, user: tuple[str, str]) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=family.url, timeout=30) as client:
        form = {"user": user[0], "password": user[1]}
        assert client.post("/login", data=form).status_code == 303
        yield client


def call(client: httpx.Client, name: str, *data) -> tuple[str, object]:
    """Run an event of the page through its queue; how it ended, and with what."""
    joined = client.post(f"/gradio_api/call/{name}", json={"data": data})
    assert joined.status_code == 200, joined.text
    told = client.get(f"/gradio_api/call/{name}/{joined.json()['event_id']}").text
    event, value = re.findall(r"event: (\w+)\ndata: (.*)", told)[-1]
    return event, json.loads(value)


def error_code(answer: httpx.Response) -> str:
    return ErrorAnswer.model_validate(answer.json()).error.code


# every interface, HTTPS, a token


def test_what_is_printed_leads_in(lan) -> None:
    log = lan.log.read_text("utf-8")
    links = re.findall(r"https://\S+/\?token=\S+", log)
    assert len(links) == 1 + len(addresses.reachable("0.0.0.0"))
    with browser(lan) as client:
        page = client.get(links[0].replace("localhost", "127.0.0.1"), headers=BROWSER)
        assert page.status_code == 303 and page.headers["location"] == "/"
        page = client.get("/", headers=BROWSER)
        assert page.status_code == 200 and "gradio" in page.text
    assert "fingerprint" in log
    assert "\u2588" not in log, "no QR code where nobody looks"


def test_without_the_token_nothing_is_to_be_had(lan) -> None:
    with browser(lan) as client:
        page = client.get("/", headers=BROWSER)
        assert page.status_code == 401 and 'action="/login"' in page.text
        for path in ("/config", "/gradio_api/info", "/v1/engines", "/metrics", "/docs"):
            assert client.get(path).status_code == 401
        refused = client.post(SPEECH, json=SAY, headers={"Authorization": "Bearer wrong"})
        assert refused.status_code == 401 and error_code(refused) == "invalid_api_key"
        assert client.get("/readyz").status_code == 200


def test_the_queue_of_the_page_needs_the_login_too(lan) -> None:
    with browser(lan) as client:
        body = {"data": [], "fn_index": 0, "session_hash": "abc"}
        for answer in (
            client.post("/gradio_api/queue/join", json=body),
            client.get("/gradio_api/queue/data?session_hash=abc"),
            client.get("/gradio_api/heartbeat/abc"),
            client.post("/gradio_api/upload", files={"files": b"x"}),
            client.post("/gradio_api/component_server", json={}),
            client.post("/gradio_api/run/predict", json=body),
        ):
            assert answer.status_code == 401


def test_a_websocket_finds_nobody(lan) -> None:
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    with browser(lan) as client:
        answer = client.get("/", headers={**upgrade, "Sec-WebSocket-Key": "x" * 22 + "=="})
        assert answer.status_code == 401


def test_with_the_token_speech_streams(lan) -> None:
    headers = {"Authorization": f"Bearer {token_of(lan)}"}
    with browser(lan) as client, client.stream("POST", SPEECH, json=SAY, headers=headers) as answer:
        assert answer.status_code == 200
        assert next(answer.iter_raw())[:4] == b"RIFF"


def test_a_login_ends(lan) -> None:
    with browser(lan) as client:
        form = {"password": token_of(lan), "next": "/docs"}
        assert client.post("/login", data=form).headers["location"] == "/docs"
        assert client.get("/v1/engines").status_code == 200
        client.get("/logout")
        assert client.get("/v1/engines").status_code == 401


def test_plain_http_is_not_answered(lan) -> None:
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://127.0.0.1:{lan.port}/readyz")


def test_the_other_addresses_of_this_machine_are_fine_and_other_names_are_not(lan) -> None:
    with browser(lan) as client:
        for address in addresses.reachable("0.0.0.0"):
            answer = client.get("/readyz", headers={"Host": f"{address}:{lan.port}"})
            assert answer.status_code == 200
        answer = client.get("/readyz", headers={"Host": "evil.example"})
        assert answer.status_code == 421 and error_code(answer) == "wrong_host"


# this machine alone


def test_this_machine_needs_no_login(server) -> None:
    assert httpx.get(server.url, headers=BROWSER).status_code == 200
    assert httpx.post(server.url + SPEECH, json=SAY, timeout=30).status_code == 200
    assert not (server.data_dir / "token").exists()


@pytest.mark.parametrize("path", ["/", "/v1/models", "/config", "/gradio_api/info"])
def test_a_forged_host_is_refused(server, path) -> None:
    for host in ("evil.example", "192.0.2.77", "localhost.evil.example:7860"):
        answer = httpx.get(server.url + path, headers={"Host": host})
        assert answer.status_code == 421 and error_code(answer) == "wrong_host"


@pytest.mark.parametrize("path", [SPEECH, "/gradio_api/queue/join", "/gradio_api/upload"])
def test_a_foreign_page_is_refused(server, path) -> None:
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        answer = httpx.post(server.url + path, json=SAY, headers=headers)
        assert answer.status_code == 403 and error_code(answer) == "foreign_origin"
    fine = httpx.post(server.url + SPEECH, json=SAY, headers={"Origin": server.url}, timeout=30)
    assert fine.status_code == 200


def test_a_foreign_page_cannot_read_what_gradio_would_let_it_read(server) -> None:
    for path in ("/config", "/gradio_api/info", "/theme.css"):
        answer = httpx.get(server.url + path, headers={"Origin": "http://localhost:3000"})
        assert "access-control-allow-origin" not in answer.headers
        assert "access-control-allow-credentials" not in answer.headers


TRAVERSALS = (
    "/gradio_api/file=/etc/passwd",
    "/gradio_api/file=%2Fetc%2Fpasswd",
    "/gradio_api/file=../../../../etc/passwd",
    "/gradio_api/file={data}/token",
    "/gradio_api/file={data}/cache/gradio/../../serving.lock",
    "/gradio_api/file={data}/cache/gradio/..%2f..%2fserving.lock",
    "/gradio_api/file={data}/cache/gradio",
    "/gradio_api/file={root}/app.py",
    "/gradio_api/file=app.py",
    "/gradio_api/file=~/.bashrc",
    "/gradio_api/file//etc/passwd",
    "/static/../../../../etc/passwd",
    "/static/%2e%2e/%2e%2e/%2e%2e/routes.py",
    "/assets/..%2f..%2f..%2froutes.py",
    "/docs/assets/..%2f..%2f..%2fapp.py",
    "/svelte/..%2f..%2froutes.py",
    "/custom_component/..%2f..%2f/x/component/x",
    "/gradio_api/custom_component/x/client/component/..%2f..%2froutes.py",
    "/v1/models/..%2f..%2fetc%2fpasswd",
    "/v1/models/%2e%2e/%2e%2e/etc/passwd",
    "/v1/audio/voices/..%2f..%2ftoken",
    "/..%2f..%2f..%2fetc%2fpasswd",
    "//etc/passwd",
    "/etc/passwd%00.html",
)


def raw_get(port: int, path: str) -> bytes:
    """What comes back for a path that no client library has tidied up."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
        )
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.parametrize("path", TRAVERSALS)
def test_no_path_leads_out_of_the_house(server, path) -> None:
    (server.data_dir / "token").touch()  # it need not exist, and must not come out if it does
    try:
        came = raw_get(server.port, path.format(data=server.data_dir, root=ROOT))
    finally:
        (server.data_dir / "token").unlink()
    head, _, body = came.partition(b"\r\n\r\n")
    assert head.split()[1] in (b"400", b"403", b"404", b"405", b"422"), came[:300]
    for secret in (b"root:", b"from __future__", b"import "):
        assert secret not in body
    assert b"Traceback" not in body


@contextmanager
def canary() -> Iterator[SimpleNamespace]:
    """A server that must not be asked."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"inner secret")

        do_HEAD = do_POST = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as bird:
        threading.Thread(target=bird.serve_forever, daemon=True).start()
        yield SimpleNamespace(url=f"http://127.0.0.1:{bird.server_port}/x.txt", asked=asked)
        bird.shutdown()


def test_the_server_asks_nobody_for_a_client(server, family) -> None:
    with canary() as bird, logged_in(family, ADA) as client:
        for path in ("file=", "proxy=", "file=HTTP", "proxy=//", "stream/"):
            target = bird.url if not path.endswith("HTTP") else bird.url[4:]
            answer = httpx.get(f"{server.url}/gradio_api/{path}{target}")
            assert answer.status_code in (403, 404), path
        for url in (bird.url, bird.url.replace("127.0.0.1", "localhost"), "http://1.1.1.1/x.txt"):
            file = {"path": url, "url": url, "meta": {"_type": "gradio.FileData"}}
            for given in (file, {**file, "path": "/etc/hostname"}, {**file, "is_stream": True}):
                event, value = call(client, "read", given)
                assert event == "error", value
        for field in ("input", "voice", "model", "device", "preset"):
            body = {**SAY, field: bird.url}
            answer = httpx.post(server.url + SPEECH, json=body, timeout=30)
            assert answer.status_code == (200 if field == "input" else 400)
        assert bird.asked == []


def test_an_upload_that_is_too_large_is_refused(server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(
            b"POST /gradio_api/upload HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 9000000000\r\n\r\n"
        )
        assert b" 413 " in connection.recv(1000)
    big = b'{"data": ["' + b"x" * 7_000_000 + b'"]}'
    answer = httpx.post(
        f"{server.url}/gradio_api/queue/join", content=big, headers={"Content-Type": "text/plain"}
    )
    assert answer.status_code == 413 and error_code(answer) == "request_too_large"


# users


def test_whose_an_event_of_the_page_is(family) -> None:
    for auth in (ADA, BOB):
        with httpx.Client(base_url=family.url, auth=auth, timeout=30) as client:
            assert call(client, "whose") == ("complete", [auth[0]])
            assert call(client, "slowly") == ("complete", [auth[0]])
            direct = client.post("/gradio_api/run/whose", json={"data": []})
            assert direct.json()["data"] == [auth[0]]
            headers = {"x-owner": "eve", "owner": "eve", "Cookie": "owner=eve; user=eve"}
            forged = client.post("/gradio_api/run/whose", json={"data": []}, headers=headers)
            assert forged.json()["data"] == [auth[0]]


def test_whose_an_event_is_after_a_login_with_the_form(family) -> None:
    with logged_in(family, BOB) as client:
        assert call(client, "whose") == ("complete", ["bob"])


def test_one_user_cannot_read_anothers_files(family) -> None:
    with logged_in(family, ADA) as ada, logged_in(family, BOB) as bob:
        [uploaded] = ada.post("/gradio_api/upload", files={"files": ("a.txt", b"Ada's")}).json()
        _, [made] = call(ada, "make", "Ada's words")
        for path, words in ((uploaded, "Ada's"), (made["path"], "Ada's words")):
            assert ada.get(f"/gradio_api/file={path}").text == words
            for form in (path, path.replace("/", "%2F"), str(Path(path).parent)):
                answer = bob.get(f"/gradio_api/file={form}")
                assert answer.status_code == 403 and "Ada" not in answer.text
            assert httpx.get(f"{family.url}/gradio_api/file={path}").status_code == 401


def test_an_event_reads_no_file_but_an_uploaded_one(family) -> None:
    with logged_in(family, BOB) as bob:
        for path in ("/etc/hostname", str(ROOT / "app.py"), "../../etc/passwd", "app.py"):
            file = {"path": path, "meta": {"_type": "gradio.FileData"}}
            event, value = call(bob, "read", file)
            assert event == "error", value


@pytest.mark.parametrize(
    ("path", "kind", "begin"),
    [
        (SPEECH, "application/json", "{"),
        ("/gradio_api/upload", "multipart/form-data; boundary=x", "--x"),
    ],
)
def test_a_body_that_does_not_come_is_given_up(family, path, kind, begin) -> None:
    port = int(family.url.rpartition(":")[2])
    login = base64.b64encode(":".join(ADA).encode()).decode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic {login}\r\n"
    head += f"Content-Type: {kind}\r\nContent-Length: 100\r\n\r\n{begin}"
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(head.encode())
        came = b"".join(iter(lambda: connection.recv(65536), b""))
    assert b" 408 " in came.partition(b"\r\n")[0]
    assert b'"request_timeout"' in came
    assert httpx.get(f"{family.url}/readyz").status_code == 200


def test_wrong_passwords_are_slowed_down(family) -> None:
    with httpx.Client(base_url=family.url, timeout=30) as stranger:
        statuses = []
        for number in range(7):
            answer = stranger.get("/v1/engines", auth=("ada", f"guess {number}"))
            statuses.append(answer.status_code)
        assert statuses[:5] == [401] * 5 and 429 in statuses
        assert int(answer.headers["retry-after"]) >= 1


# flags


def test_a_second_server_leaves_the_data_of_the_first_alone(server) -> None:
    port = free_port()
    ran = subprocess.run(
        [sys.executable, "app.py", "--data-dir", str(server.data_dir), "--listen", f":{port}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 1
    assert str(server.process.pid) in ran.stderr and "--data-dir" in ran.stderr
    assert not (server.data_dir / "token").exists()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--share", "--no-auth"], "--share was given with --no-auth"),
        (["--auth", "secret"], "no name with its password"),
        (["--api-key", "two words"], "That is no key"),
        (["--auth-file", "/no/such/file"], "No such file"),
        (["--allow-origin", "*"], "no origin"),
        (["--ssl-cert", "/no/such/file"], "--ssl-key"),
    ],
)
def test_flags_that_would_let_the_wrong_people_in(tmp_path, capsys, flags, said) -> None:
    try:
        code = main(["--data-dir", str(tmp_path), *flags])
    except SystemExit as ended:
        code = ended.code
    assert code == 2
    error = capsys.readouterr().err
    assert said in error and "secret" not in error
