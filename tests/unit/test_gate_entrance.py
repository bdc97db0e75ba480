"""From flags to rules: tokens, certificates, tunnels, and what is printed."""

from __future__ import annotations

import datetime as dt
import io
import socket
import ssl
from types import SimpleNamespace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from commands.main import build_parser
from commands.serve import _wishes
from engines.errors import StorageError
from server.errors import ShareFailed
from server.gate import addresses, certificate, share, welcome
from server.gate.certificate import BadCertificate, given_certificate, own_certificate
from server.gate.entrance import Contradiction, Wishes, prepare
from studio.settings import Settings

EVERYWHERE = "0.0.0.0"


@pytest.fixture
def limits(tmp_path) -> Settings:
    return Settings(data_dir=tmp_path, shared=False, offline=False)


@pytest.fixture(autouse=True)
def no_space(monkeypatch):
    monkeypatch.delenv("SPACE_ID", raising=False)


@pytest.fixture
def tunnel(monkeypatch) -> list[int]:
    """Gradio's tunnel, which opens at once; the ports it was opened for."""
    opened = []

    def setup_tunnel(host, port, token, server, certificate_file):
        assert host == "127.0.0.1" and len(token) >= 32
        opened.append(port)
        return "https://abc.gradio.live"

    monkeypatch.setattr("gradio.networking.setup_tunnel", setup_tunnel)
    return opened


# who may come in


def test_this_machine_alone_needs_no_key(limits) -> None:
    for host in ("127.0.0.1", "::1", "localhost"):
        made = prepare(Wishes(host, 7860), limits)
        assert made.rules.access.open and made.login == "everybody" and not made.token
    assert not (limits.data_dir / "token").exists()


@pytest.mark.parametrize("host", [EVERYWHERE, "::", "192.168.1.5", "no-such-name.invalid"])
def test_another_address_makes_a_token(limits, host) -> None:
    made = prepare(Wishes(host, 7860), limits)
    assert made.login == "token" and not made.rules.access.open
    assert made.rules.access.keys.fits(made.token)
    assert prepare(Wishes(host, 7860), limits).token == made.token, "bookmarks go on working"


def test_what_is_given_takes_the_tokens_place(limits, tmp_path) -> None:
    file = tmp_path / "users"
    file.write_text("eve:three\n")
    for wishes, login in (
        (Wishes(EVERYWHERE, 1, keys=("one",)), "key"),
        (Wishes(EVERYWHERE, 1, users=(("ada", "two"),)), "user"),
        (Wishes(EVERYWHERE, 1, users_file=file), "user"),
        (Wishes(EVERYWHERE, 1, no_auth=True), "everybody"),
        (Wishes("127.0.0.1", 1, keys=("one",)), "key"),
    ):
        made = prepare(wishes, limits)
        assert (made.login, made.token) == (login, "")
        assert made.rules.access.open is (login == "everybody")
    assert not (limits.data_dir / "token").exists()


def test_a_space_is_open_and_tells_visitors_apart(limits, monkeypatch) -> None:
    monkeypatch.setenv("SPACE_ID", "someone/vivavoce")
    made = prepare(Wishes(EVERYWHERE, 7860), Settings(data_dir=limits.data_dir))
    assert made.rules.access.open and made.rules.own_things and made.rules.framed
    assert made.rules.hosts.allows("someone-vivavoce.hf.space")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"no_auth": True, "share": True}, "--share"),
        ({"no_auth": True, "keys": ("one",)}, "--no-auth"),
        ({"no_auth": True, "users": (("ada", "x"),)}, "--no-auth"),
        ({"users": (("ada", "x"), ("ada", "y"))}, "ada was given twice"),
        ({"ssl_cert": "x"}, "--ssl-key"),
        ({"https": True, "ssl_cert": "x", "ssl_key": "y"}, "--ssl-cert"),
        ({"https": True, "share": True}, "--share"),
    ],
    ids=str,
)
def test_flags_that_contradict_each_other(limits, tunnel, given, said) -> None:
    with pytest.raises(Contradiction, match=said):
        prepare(Wishes(EVERYWHERE, 1, **given), limits)
    assert not tunnel


def test_flags_become_wishes(tmp_path) -> None:
    argv = ["--listen", ":1", "--api-key", "one", "--api-key", "two", "--auth", "ada:x", "--https"]
    argv += ["--allow-host", "A.example", "--allow-origin", "https://b.example/"]
    wishes = _wishes(build_parser().parse_args(argv))
    assert wishes == Wishes(
        EVERYWHERE, 1, ("one", "two"), (("ada", "x"),), https=True, hosts=("a.example",),
        origins=("https://b.example",),
    )  # fmt: skip


# the tunnel


def test_a_public_address_needs_a_key_too(limits, tunnel) -> None:
    made = prepare(Wishes("127.0.0.1", 7861, share=True), limits)
    assert made.public == "https://abc.gradio.live" and tunnel == [7861]
    assert made.login == "token" and not made.rules.access.open
    assert made.rules.hosts.allows("abc.gradio.live")
    assert not made.rules.hosts.allows("abd.gradio.live")


def test_a_tunnel_that_cannot_be_opened_is_told(limits, monkeypatch) -> None:
    def nowhere(*_):
        raise RuntimeError("Could not get share link from Gradio API Server.")

    monkeypatch.setattr("gradio.networking.setup_tunnel", nowhere)
    with pytest.raises(ShareFailed, match=r"Could not get share link.*--listen"):
        prepare(Wishes("127.0.0.1", 7861, share=True), limits)


def test_offline_opens_no_tunnel(limits, tunnel) -> None:
    offline = Settings(data_dir=limits.data_dir, offline=True, shared=False)
    with pytest.raises(Contradiction, match="offline"):
        prepare(Wishes("127.0.0.1", 7861, share=True), offline)
    assert not tunnel


def test_the_tunnel_leaves_nothing_where_the_program_was_started(limits, tunnel) -> None:
    from gradio import networking

    share.open_tunnel(7860, limits.data_dir)
    assert str(limits.data_dir) in networking.CERTIFICATE_PATH


# HTTPS


def read(pem: bytes) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem)


def test_a_certificate_for_every_name_of_this_machine(tmp_path) -> None:
    made = own_certificate(tmp_path, ["tts.example"])
    pem = made.cert.read_bytes()
    names = read(pem).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    listed = set(names.get_values_for_type(x509.DNSName))
    assert {"localhost", "tts.example", *addresses.names()} <= listed
    listed = {str(address) for address in names.get_values_for_type(x509.IPAddress)}
    assert {"127.0.0.1", *addresses.interface_addresses()} <= listed
    assert made.cert.stat().st_mode & 0o777 == 0o600
    assert made.cert.parent.stat().st_mode & 0o777 == 0o700
    assert made.fingerprint.replace(":", "").lower() == read(pem).fingerprint(_sha256()).hex()
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(made.cert, made.key)
    again = own_certificate(tmp_path, ["tts.example"])
    assert again == made and made.cert.read_bytes() == pem


def _sha256():
    from cryptography.hazmat.primitives import hashes

    return hashes.SHA256()


def test_a_certificate_is_renewed_in_time_and_for_new_names(tmp_path, monkeypatch) -> None:
    first = own_certificate(tmp_path).fingerprint
    second = own_certificate(tmp_path, ["new.example"]).fingerprint
    assert second != first
    assert own_certificate(tmp_path).fingerprint == second, "a name that is gone does no harm"
    (tmp_path / certificate.FILE).write_bytes(b"garbage")
    third = own_certificate(tmp_path).fingerprint
    monkeypatch.setattr(certificate, "RENEW_BEFORE", certificate.VALID + dt.timedelta(days=1))
    assert own_certificate(tmp_path).fingerprint != third


def test_a_key_that_is_another_certificates_is_replaced(tmp_path) -> None:
    one, two = own_certificate(tmp_path / "1"), own_certificate(tmp_path / "2")
    key = one.key.read_bytes().partition(b"-----BEGIN CERT")[0]
    cert = two.cert.read_bytes().partition(b"-----BEGIN CERT")[2]
    one.cert.write_bytes(key + b"-----BEGIN CERT" + cert)
    made = own_certificate(tmp_path / "1").cert.read_bytes()
    assert load_pem_private_key(made, None).public_key() == read(made).public_key()


def test_a_certificate_that_cannot_be_kept_is_told(tmp_path) -> None:
    (tmp_path / "tls").write_text("a file")
    with pytest.raises(StorageError, match="--ssl-cert"):
        own_certificate(tmp_path)


def test_a_certificate_of_ones_own(tmp_path) -> None:
    made = own_certificate(tmp_path)
    given = given_certificate(made.cert, made.key)
    assert given.fingerprint == made.fingerprint and not given.own
    bad = tmp_path / "bad.pem"
    bad.write_text("no certificate")
    for cert, key in ((bad, made.key), (made.cert, bad), (tmp_path / "none", made.key)):
        with pytest.raises(BadCertificate, match="--ssl-key"):
            given_certificate(cert, key)


# addresses and words


@pytest.fixture
def network(monkeypatch):
    def address(text: str):
        family = socket.AF_INET6 if ":" in text else socket.AF_INET
        return SimpleNamespace(family=family, address=text)

    found = {
        "lo": ["127.0.0.1", "::1"],
        "docker0": ["172.17.0.1"],
        "wlan0": ["10.1.1.4"],
        "eth0": ["192.168.1.5", "fd00::5", "fe80::5%eth0"],
        "eth1": ["192.168.9.9"],
    }
    made = {name: [address(text) for text in texts] for name, texts in found.items()}
    monkeypatch.setattr(addresses.psutil, "net_if_addrs", lambda: made)
    monkeypatch.setattr(
        addresses.psutil,
        "net_if_stats",
        lambda: {name: SimpleNamespace(isup=name != "eth1") for name in found},
    )
    monkeypatch.setattr(addresses, "_usual_address", lambda: "192.168.1.5")


def test_addresses_that_others_reach(network) -> None:
    assert addresses.reachable(EVERYWHERE) == ["192.168.1.5", "10.1.1.4"]
    assert addresses.reachable("::") == ["fd00::5"]
    assert addresses.reachable("10.1.1.4") == ["10.1.1.4"]
    assert "172.17.0.1" in addresses.interface_addresses(), "a container may ask by it"
    assert "fe80::5" in addresses.interface_addresses()


def test_without_a_network_there_is_no_usual_address(monkeypatch) -> None:
    monkeypatch.setattr(addresses, "NOWHERE", ("no such address", 9))
    assert addresses._usual_address() == ""


def said(**given) -> str:
    usual = {"local": "http://localhost:1", "others": [], "token": "", "login": "everybody"}
    return "\n".join(welcome.lines(**{**usual, **given}))


def test_the_welcome_says_who_may_come(network) -> None:
    urls = welcome.urls("http", EVERYWHERE, 7860)
    assert urls == ["http://192.168.1.5:7860", "http://10.1.1.4:7860"]
    alone = said()
    assert "http://localhost:1 " in alone and "other machines" not in alone
    text = said(others=urls, token="abc", login="token")
    assert "http://192.168.1.5:7860/?token=abc" in text and "http://localhost:1/?token=abc" in text
    assert "--https" in text
    assert "--no-auth" in said(others=urls)
    assert "password" in said(others=urls, login="user")
    text = said(others=urls, login="key", fingerprint="AB:CD")
    assert "AB:CD" in text and "--https" not in text
    assert "https://x.gradio.live/?token=abc" in said(
        public="https://x.gradio.live", token="abc", login="token"
    )


class Terminal(io.TextIOWrapper):
    def __init__(self, encoding: str = "utf-8", person: bool = True) -> None:
        super().__init__(io.BytesIO(), encoding)
        self._person = person

    def isatty(self) -> bool:
        return self._person


def test_a_person_sees_a_qr_code() -> None:
    code = welcome.qr_code("http://192.168.1.5:7860/?token=abcdefghijklmnopqrstuvwx", Terminal())
    rows = code.splitlines()
    assert 12 <= len(rows) <= 30 and max(map(len, rows)) <= 80
    assert {"█", "▀", "▄"} & set(code)
    assert welcome.qr_code("http://x", Terminal(person=False)) == ""
    assert welcome.qr_code("http://x", Terminal("ascii")) == ""
