"""Replay reference cases of a model family, or hold a manifest of published weights against it.

    python -m tests.parity espnet_vits DIR [--runtime eager|padded|xla|onnx] [--stage NAME]
    python -m tests.parity espnet_vits --manifest FILE

Exits with 1 where a case fails or has no handler, or a key differs.
"""

from __future__ import annotations

import sys

from engines.runtime import threads

if __name__ == "__main__":
    threads.configure()  # first: numeric libraries read their thread settings when they load
    from tests.parity.command import main

    sys.exit(main())
