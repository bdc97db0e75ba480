"""The certificate of `--https`: made here, for this machine's names and addresses.

Browsers let a page use the microphone only over HTTPS (or on the machine itself). Nobody vouches
for this certificate, so that each browser asks once; the fingerprint tells whether it is ours.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import ipaddress
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engines.errors import InvalidRequest, StorageError
from server.gate import addresses
from server.gate.access import write_private

if TYPE_CHECKING:
    from cryptography import x509

log = logging.getLogger("vivavoce.server")

FILE = "tls/vivavoce.pem"
VALID = dt.timedelta(days=397)  # browsers take no longer ones
RENEW_BEFORE = dt.timedelta(days=30)


class BadCertificate(InvalidRequest):
    """A certificate or key that was given cannot be used."""

    code = "bad_certificate"


@dataclass(frozen=True, slots=True)
class Certificate:
    """Files in PEM for uvicorn.

    Attributes:
        fingerprint: SHA-256 of the certificate, as browsers show it.
        own: it was made here.
    """

    cert: Path
    key: Path
    fingerprint: str
    own: bool


def own_certificate(data_dir: Path, names: Iterable[str] = ()) -> Certificate:
    """The certificate of this machine; made anew where there is none, where it ends soon, and
    where a name or address was added.

    Args:
        names: beside those that the machine has by itself.

    Raises:
        StorageError: it cannot be kept.
    """
    path = data_dir / FILE
    wanted = {"localhost", *addresses.names(), *addresses.interface_addresses(), *names}
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        pem = path.read_bytes() if path.is_file() else b""
        if not _is_good(pem, wanted):
            pem = _make(wanted)
            write_private(path, pem)
        path.chmod(0o600)
    except OSError as error:
        raise StorageError(
            f"{path} cannot be used ({error.strerror}).",
            "The certificate of --https is kept there.",
            "Put its rights in order, or give one of your own with --ssl-cert and --ssl-key.",
        ) from error
    return Certificate(path, path, _fingerprint(pem), own=True)


def given_certificate(cert: Path, key: Path) -> Certificate:
    """A certificate of one's own.

    Raises:
        BadCertificate: the two files cannot be read or do not belong together.
    """
    import ssl

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, password=lambda: b"")
        return Certificate(cert, key, _fingerprint(cert.read_bytes()), own=False)
    except (OSError, ValueError) as error:  # ssl's own error is an OSError
        raise BadCertificate(
            f"{cert} with {key} cannot be used ({getattr(error, 'strerror', None) or error}).",
            "--ssl-cert takes a certificate in PEM with its chain, --ssl-key its key without a "
            "password.",
            "Check both paths, or leave them out for a certificate that is made here.",
        ) from None


def _is_good(pem: bytes, wanted: set[str]) -> bool:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        certificate = x509.load_pem_x509_certificate(pem)
        key = load_pem_private_key(pem, None)
        alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (ValueError, x509.ExtensionNotFound):
        return False
    if key.public_key() != certificate.public_key():
        return False
    value = alternatives.value
    held = {*value.get_values_for_type(x509.DNSName)}
    held |= {str(address) for address in value.get_values_for_type(x509.IPAddress)}
    ends = certificate.not_valid_after_utc - RENEW_BEFORE
    return wanted <= held and dt.datetime.now(dt.timezone.utc) < ends


def _make(wanted: set[str]) -> bytes:
    """A fresh key and its certificate."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Vivavoce on this machine")])
    now = dt.datetime.now(dt.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))  # clocks differ
        .not_valid_after(now + VALID)
        .add_extension(x509.SubjectAlternativeName(_alternatives(wanted)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    log.info("made a certificate for %s", ", ".join(sorted(wanted)))
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ) + certificate.public_bytes(serialization.Encoding.PEM)


def _alternatives(wanted: set[str]) -> list[x509.GeneralName]:
    from cryptography import x509

    made: list[x509.GeneralName] = []
    for name in sorted(wanted):
        try:
            made.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            made.append(x509.DNSName(name))
    return made


def _fingerprint(pem: bytes) -> str:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    der = x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)
    digest = hashlib.sha256(der).hexdigest().upper()
    return ":".join(digest[start : start + 2] for start in range(0, len(digest), 2))
