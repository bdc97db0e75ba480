"""`--share`: a public address for some days, through Gradio's tunnel."""

from __future__ import annotations

import secrets
from pathlib import Path
from urllib.parse import urlsplit

from server.errors import ShareFailed


def open_tunnel(port: int, data_dir: Path) -> str:
    """Open the tunnel to this machine's port; returns the public URL. It ends with the process.

    Raises:
        ShareFailed: there is no way out to Gradio's servers.
    """
    from gradio import networking

    certificate = data_dir / "tls" / "tunnel.pem"
    # Gradio would write it into whatever folder the program was started in
    setattr(networking, "CERTIFICATE_PATH", str(certificate))  # noqa: B010
    try:
        certificate.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        url = networking.setup_tunnel("127.0.0.1", port, secrets.token_urlsafe(32), None, None)
    except Exception as error:  # of the network, the disk, or the tunnel's own program
        raise ShareFailed(
            f"The public address could not be opened ({_first_line(error)}).",
            "--share needs a way out to api.gradio.app and to Gradio's tunnel.",
            "Check the connection, or leave --share out and use --listen 0.0.0.0:7860 at home.",
        ) from error
    return url


def host_of(url: str) -> str:
    return urlsplit(url).hostname or ""


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
