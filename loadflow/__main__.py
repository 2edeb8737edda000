"""`python -m loadflow` is the `loadflow` command."""

from __future__ import annotations

from loadflow.interrupting import end_at_once


def start() -> None:
    """The command's entry: it can be interrupted from its first moment on."""
    end_at_once()
    from loadflow.cli import main

    main(prog_name="loadflow")


if __name__ == "__main__":
    start()
