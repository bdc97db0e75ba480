"""Vivavoce: `python app.py` opens the studio, `python app.py say "Hello."` speaks at once."""

from __future__ import annotations

import sys

from engines.runtime import threads


def main() -> int:
    """Run the command line; returns the exit code."""
    threads.configure()  # first: numeric libraries read their thread settings when they load
    from commands.main import main as run

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
