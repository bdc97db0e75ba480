"""Replays a family's reference cases: `python -m tests.parity FAMILY DIR`."""
