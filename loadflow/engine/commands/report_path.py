"""Where the reports of the current session are written."""

from __future__ import annotations

import os
from pathlib import Path

from loadflow.engine.session.session import current_session

__all__ = ["report_path"]

ARTIFACT_VARIABLE = "TEST_PIONEER_ARTIFACT_DIR"  # where the harness that LoadDensity comes with collects a script's files


def report_path(name: str, suffix: str) -> Path:
    """The suffix is appended to whatever name was given, dots and all; an absolute name stays where it says.

    A relative one goes below the session's report folder. Where none was chosen it goes below $TEST_PIONEER_ARTIFACT_DIR, if
    that is set and the name does not lead out of it.
    """
    session = current_session()
    file = f"{name}{suffix}"
    artifacts = os.environ.get(ARTIFACT_VARIABLE)
    if artifacts and session.report_dir == Path() and Path(os.path.normpath(file)).parts[:1] != ("..",):
        return Path(artifacts) / file
    return session.report_dir / file
