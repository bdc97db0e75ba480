"""Who is let in: keys, passwords, logins, and how often one may be wrong."""

from __future__ import annotations

import asyncio
import base64
import hmac
from pathlib import Path

import pytest

from engines.errors import StorageError
from server.answers import ErrorAnswer
from server.errors import NotLoggedIn, TooMany
from server.gate import access as module
from server.gate import passwords
from server.gate.access import HASHES_AT_ONCE, Access, kept_token
from server.gate.passwords import BadLogin, Keys, Users, read_key, read_user, read_users_file
from server.gate.sessions import (
    FREE_ATTEMPTS,
    LONGEST_WAIT,
    MOST_ADDRESSES,
    MOST_SESSIONS,
    SESSION_SECONDS,
    Attempts,
    Identity,
    Sessions,
    network,
)
from tests.unit.gate_helpers import BROWSER, HERE, KEY, PASSWORD, Clock, client

BEARER = {"Authorization": f"Bearer {KEY}"}


def basic(name: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


def with_key(**rules):
    return client(Access([KEY]), **rules)


def with_users(**rules):
    return client(Access([], {"ada": PASSWORD, "bob": "another"}), **rules)


def log_in(browser, **form) -> int:
    return browser.post("/login", data=form, headers=BROWSER).status_code


# keys and passwords


@pytest.mark.parametrize(
    "headers", [BEARER, {"Authorization": f"bearer {KEY}"}, {"x-api-key": KEY}, basic("any", KEY)]
)
def test_a_program_comes_in_with_its_key(headers) -> None:
    assert with_key().get("/v1/models", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer"},
        {"Authorization": f"Bearer {KEY}x"},
        {"Authorization": KEY},
        {"Authorization": "Basic !!!"},
        {"Authorization": "Basic " + base64.b64encode(b"\xff\xfe").decode()},
        {"x-api-key": KEY[:-1]},
        {"Cookie": f"vivavoce-7860={KEY}"},
    ],
    ids=str,
)
def test_without_the_key_a_program_gets_openais_error(headers) -> None:
    answer = with_key().get("/v1/models", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    error = ErrorAnswer.model_validate(answer.json()).error
    assert (error.type, error.code) == ("invalid_request_error", "invalid_api_key")


def test_a_key_in_the_address_is_for_pages_alone() -> None:
    assert with_key().get(f"/v1/models?token={KEY}").status_code == 401


def test_a_user_comes_in_with_a_password() -> None:
    program = with_users()
    answer = program.get("/v1/models", headers=basic("ada", PASSWORD))
    assert answer.json()["owner"] == "ada"
    for wrong in (basic("ada", "another"), basic("eve", PASSWORD), basic("", ""), BEARER):
        refused = program.get("/v1/models", headers=wrong)
        assert refused.status_code == 401
    assert refused.headers["www-authenticate"].startswith("Basic")
    page = program.get("/v1/models", headers={"Sec-Fetch-Mode": "cors"})
    assert page.headers["www-authenticate"].startswith("Bearer"), "no window of the browser's own"


def test_users_and_keys_go_together() -> None:
    program = client(Access([KEY], {"ada": PASSWORD}))
    assert program.get("/x", headers=basic("ada", PASSWORD)).json()["owner"] == "ada"
    assert program.get("/x", headers=BEARER).json()["owner"] == ""
    assert program.get("/x", headers=basic("", KEY)).json()["owner"] == ""
    assert program.get("/x", headers=basic("ada", KEY)).status_code == 401


def test_without_keys_and_users_everybody_comes_in() -> None:
    anybody = client()
    assert anybody.get("/v1/models", headers={"Authorization": "Bearer none"}).status_code == 200
    assert anybody.get("/", headers=BROWSER).text == "<p>The studio.</p>"
    assert anybody.get("/login").json()["path"] == "/login", "not the gate's"


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_is_open(path) -> None:
    assert with_key().get(path).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/", "/metrics", "/docs", "/openapi.json", "/config", "/gradio_api/info", "/healthz/x",
        "/gradio_api/queue/data?session_hash=x", "/gradio_api/file=/etc/passwd", "//healthz",
        "/v1/audio/speech", "/login/x", "/assets/x.js",
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_everything_else_is_closed(path, method) -> None:
    answer = with_key().request(method, HERE + path)
    assert answer.status_code == 401
    assert "studio" not in answer.text


def test_secrets_are_compared_in_the_same_time(monkeypatch) -> None:
    compared = []
    compare = hmac.compare_digest

    def noted(a: bytes, b: bytes) -> bool:
        compared.append((a, b))
        return compare(a, b)

    monkeypatch.setattr(passwords.hmac, "compare_digest", noted)
    keys = Keys(["one", "two", "three"])
    assert keys.fits("one") and not keys.fits("four")
    assert len(compared) == 6, "each key is looked at, wherever the right one stands"
    users = Users({"ada": PASSWORD})
    assert users.fits("ada", PASSWORD) and not users.fits("nobody", PASSWORD)
    assert len(compared) == 8, "an unknown name is compared too"
    assert {len(a) for pair in compared for a in pair} == {32}


def test_passwords_are_kept_as_hashes_alone() -> None:
    users = Users({"ada": PASSWORD, "bob": PASSWORD})
    ada, bob = (users._hashes[name] for name in ("ada", "bob"))
    assert ada.digest != bob.digest and len(ada.salt) == 16
    kept = repr((vars(users), vars(Keys([KEY])), vars(Access([KEY], {"ada": PASSWORD}))))
    assert PASSWORD not in kept and KEY not in kept


def test_a_very_long_password_is_just_wrong() -> None:
    program = with_users()
    assert program.get("/x", headers=basic("ada", "x" * 10_000)).status_code == 401
    assert log_in(program, user="ada", password="x" * 10_000) == 413


# browsers


def test_a_link_with_the_key_logs_in() -> None:
    browser = with_key()
    answer = browser.get(f"/?token={KEY}&view=voices", headers=BROWSER)
    assert (answer.status_code, answer.headers["location"]) == (303, "/?view=voices")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie and KEY not in cookie
    assert browser.get("/", headers=BROWSER).text == "<p>The studio.</p>"
    again = browser.get("/?token=old-bookmark", headers=BROWSER)
    assert (again.status_code, again.headers["location"]) == (303, "/")


def test_a_wrong_link_leads_to_the_login_page() -> None:
    answer = with_key().get("/?token=wrong", headers=BROWSER)
    assert answer.status_code == 401
    assert "This is not the key." in answer.text
    assert "set-cookie" not in answer.headers


def test_a_page_that_is_asked_for_without_login_shows_the_form() -> None:
    answer = with_key().get("/some/page", headers=BROWSER)
    assert answer.status_code == 401
    assert answer.headers["cache-control"] == "no-store"
    assert '<form method="post" action="/login">' in answer.text
    assert 'name="next" value="/some/page"' in answer.text
    assert "<script" not in answer.text and "http://" not in answer.text


def test_a_key_typed_into_the_form_logs_in() -> None:
    browser = with_key()
    assert browser.get("/login").status_code == 200
    answer = browser.post("/login", data={"password": f" {KEY} ", "next": "/docs"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/docs")
    assert browser.get("/v1/models").status_code == 200
    assert browser.get("/login").headers["location"] == "/"


def test_a_user_logs_in_and_out() -> None:
    browser = with_users()
    assert log_in(browser, user="ada", password="wrong") == 401
    assert log_in(browser, user="ada", password=PASSWORD) == 303
    assert browser.get("/x").json()["owner"] == "ada"
    cookie = dict(browser.cookies)
    out = browser.get("/logout")
    assert (out.status_code, out.headers["location"]) == (303, "/login")
    assert browser.get("/x").status_code == 401
    browser.cookies.update(cookie)
    assert browser.get("/x").status_code == 401, "the id is worth nothing any more"


def test_what_was_typed_is_shown_as_text_alone() -> None:
    browser = with_users()
    answer = browser.post("/login", data={"user": '"><script>', "next": '/"><script>'})
    assert "<script>" not in answer.text


@pytest.mark.parametrize(
    "leads_away",
    ["//evil.example", "/\\evil.example", "https://evil.example", "/\tx", "/login", ""],
)
def test_the_login_leads_nowhere_else(leads_away) -> None:
    answer = with_key().post("/login", data={"password": KEY, "next": leads_away})
    assert answer.headers["location"] == "/"


def test_a_link_leads_nowhere_else() -> None:
    answer = with_key().get(f"{HERE}//evil.example/?token={KEY}", headers=BROWSER)
    assert answer.headers["location"] == "/"


def test_the_cookie_is_sent_over_https_alone_where_there_is_https() -> None:
    browser = client(Access([KEY]), url="https://192.168.1.5:7860")
    cookie = browser.get(f"/?token={KEY}", headers=BROWSER).headers["set-cookie"]
    assert cookie.startswith("__Host-") and cookie.endswith("; Secure")


def test_answers_behind_a_login_are_not_kept_by_proxies() -> None:
    assert with_key().get("/x", headers=BEARER).headers["cache-control"] == "private"
    assert "cache-control" not in client().get("/x").headers


def test_sessions_end_and_are_few() -> None:
    clock = Clock()
    sessions = Sessions(clock)
    first = sessions.begin(Identity("ada"))
    clock.now += SESSION_SECONDS - 1
    assert sessions.find(first) == Identity("ada"), "and from now on it counts anew"
    clock.now += SESSION_SECONDS - 1
    assert sessions.find(first) == Identity("ada")
    clock.now += SESSION_SECONDS
    assert sessions.find(first) is None
    tokens = [sessions.begin(Identity()) for _ in range(MOST_SESSIONS + 1)]
    assert sessions.find(tokens[0]) is None and sessions.find(tokens[-1]) == Identity()
    assert len(set(tokens)) == len(tokens) and min(map(len, tokens)) >= 43
    assert tokens[-1] not in repr(vars(sessions))


# wrong attempts


def test_each_wrong_attempt_doubles_the_wait() -> None:
    clock = Clock()
    attempts = Attempts(clock)
    for number in range(FREE_ATTEMPTS - 1):
        attempts.failed("192.168.1.9", f"free {number}")
        assert attempts.wait("192.168.1.9") == 0
    waits = []
    for number in range(12):
        attempts.failed("192.168.1.9", f"guess {number}")
        waits.append(attempts.wait("192.168.1.9"))
        clock.now += waits[-1]
    assert waits[:4] == [1, 2, 4, 8] and waits[-1] == LONGEST_WAIT
    assert attempts.wait("192.168.1.10") == 0
    for number in range(2000):
        attempts.failed("192.168.1.9", f"further {number}")
    assert attempts.wait("192.168.1.9") == LONGEST_WAIT


def test_the_same_wrong_key_again_is_no_guess() -> None:
    program = with_key()
    statuses = {program.get("/x", headers={"x-api-key": "old"}).status_code for _ in range(50)}
    assert statuses == {401}
    assert program.get("/x", headers=BEARER).status_code == 200
    attempts = program.app._rules.access.attempts
    assert b"old" not in repr(vars(attempts)).encode()


def test_attempts_are_forgotten_and_few() -> None:
    clock = Clock()
    attempts = Attempts(clock)
    for number in range(MOST_ADDRESSES + 10):
        attempts.failed(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", "guess")
    assert len(attempts._failed) == MOST_ADDRESSES
    for number in range(20):
        attempts.failed("192.168.1.9", f"guess {number}")
    clock.now += 3600
    assert attempts.wait("192.168.1.9") == 0
    attempts.failed("192.168.1.9", "one more")
    assert attempts.wait("192.168.1.9") == 0


@pytest.mark.parametrize("path", ["/v1/models", "/?token={}", "/login"])
def test_who_guesses_has_to_wait(path) -> None:
    guesser = with_key()

    def guess(key: str) -> int:
        if path == "/login":
            return log_in(guesser, password=key)
        headers = BROWSER if "token" in path else {"x-api-key": key}
        answer = guesser.get(path.format(key), headers=headers)
        assert answer.status_code != 429 or int(answer.headers["retry-after"]) >= 1
        return answer.status_code

    assert [guess(f"wrong{n}") for n in range(FREE_ATTEMPTS)] == [401] * FREE_ATTEMPTS
    assert guess("wrong") == 429
    assert guess(KEY) == 429, "or the wait would tell nothing about the key"
    neighbour = client(guesser.app._rules.access, sender=("192.168.1.77", 1))
    assert neighbour.get("/v1/models", headers=BEARER).status_code == 200


def test_many_guesses_at_once_are_many_guesses() -> None:
    access = Access([], {"ada": PASSWORD})

    async def guess(number: int) -> bool:
        try:
            await access.by_password("ada", f"guess {number}", "10.0.0.1", {})
        except TooMany:
            return False
        except NotLoggedIn:
            return True
        raise AssertionError("it was wrong")

    async def guess_all() -> list[bool]:
        return await asyncio.gather(*(guess(number) for number in range(40)))

    assert sum(asyncio.run(guess_all())) <= FREE_ATTEMPTS + HASHES_AT_ONCE


def test_many_programs_of_one_address_come_in_at_once() -> None:
    access = Access([], {"ada": PASSWORD})

    async def ask_all() -> list[Identity]:
        asked = (access.by_password("ada", PASSWORD, "10.0.0.1", {}) for _ in range(20))
        return await asyncio.gather(*asked)

    assert {identity.name for identity in asyncio.run(ask_all())} == {"ada"}


def test_who_is_logged_in_need_not_wait() -> None:
    browser = with_key()
    assert log_in(browser, password=KEY) == 303
    stranger = client(browser.app._rules.access)
    for number in range(FREE_ATTEMPTS + 1):
        last = stranger.get("/x", headers={"x-api-key": f"wrong {number}"})
    assert last.status_code == 429
    assert browser.get("/x").status_code == 200


@pytest.mark.parametrize(
    ("address", "counts_as"),
    [
        ("192.168.1.9", "192.168.1.9"),
        ("fd00::1:2:3:4", "fd00::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.168.1.9", "192.168.1.9"),
        ("testclient", "testclient"),
        ("", ""),
    ],
)
def test_what_counts_as_one_client(address, counts_as) -> None:
    assert network(address) == counts_as


# what is read from the command line and from files


@pytest.mark.parametrize(
    "text", ["", "ada", "ada:", ":secret", "a b:secret", "../x:secret", "a" * 65 + ":secret"]
)
def test_what_is_no_user_is_refused_and_not_repeated(text) -> None:
    with pytest.raises(BadLogin) as error:
        read_user(text)
    assert "secret" not in str(error.value)


def test_a_password_may_hold_colons() -> None:
    assert read_user("ada:a:b c") == ("ada", "a:b c")


@pytest.mark.parametrize("text", ["", "two words", "schlüssel", "a\nb", "x" * 1025])
def test_what_is_no_key_is_refused(text) -> None:
    with pytest.raises(BadLogin):
        read_key(text)


def test_users_are_read_from_a_file(tmp_path) -> None:
    file = tmp_path / "users"
    file.write_text("# the family\n\nada:one\nbob:two:three\n", "utf-8")
    assert read_users_file(file) == [("ada", "one"), ("bob", "two:three")]


@pytest.mark.parametrize(
    ("content", "said"), [(b"ada:one\nsecret\n", "line 2"), (b"\n", "nobody"), (b"\xff", "UTF-8")]
)
def test_a_bad_file_of_users_is_refused(tmp_path, content, said) -> None:
    file = tmp_path / "users"
    file.write_bytes(content)
    with pytest.raises(BadLogin, match=said) as error:
        read_users_file(file)
    assert "secret" not in str(error.value)


def test_a_missing_file_of_users_is_named(tmp_path) -> None:
    with pytest.raises(BadLogin, match=r"users.*No such file"):
        read_users_file(tmp_path / "users")


# the token


def test_the_token_stays_the_same_and_private(tmp_path) -> None:
    token = kept_token(tmp_path / "data")
    file = tmp_path / "data" / "token"
    assert kept_token(tmp_path / "data") == token and len(token) >= 24
    assert file.stat().st_mode & 0o777 == 0o600
    assert kept_token(tmp_path / "other") != token
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["token"]


@pytest.mark.parametrize("content", ["", "short", "two words are no token", "ü" * 30])
def test_a_token_that_is_none_is_made_anew(tmp_path, content) -> None:
    (tmp_path / "token").write_text(content, "utf-8")
    (tmp_path / "token").chmod(0o600)
    assert len(kept_token(tmp_path)) >= 24
    assert kept_token(tmp_path) == (tmp_path / "token").read_text().strip()


def test_a_token_that_others_could_read_is_made_anew(tmp_path) -> None:
    token = kept_token(tmp_path)
    (tmp_path / "token").chmod(0o644)
    assert kept_token(tmp_path) != token
    assert (tmp_path / "token").stat().st_mode & 0o777 == 0o600


def test_a_token_behind_a_link_is_not_followed(tmp_path) -> None:
    (tmp_path / "elsewhere").write_text("x" * 30)
    (tmp_path / "token").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError, match="--api-key"):
        kept_token(tmp_path)
    assert (tmp_path / "elsewhere").read_text() == "x" * 30


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path, monkeypatch) -> None:
    def full(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space"):
        module.write_private(tmp_path / "x", b"data")
    assert list(tmp_path.iterdir()) == []
