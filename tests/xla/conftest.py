"""These tests belong to the environment of torch_xla: `make test-xla`. `make test` leaves them out,
for its environment has none."""

from __future__ import annotations

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("torch_xla") else ["test_*.py"]
