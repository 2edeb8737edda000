"""A redactor that knows the secrets of one session, for all text that goes to Prefect."""

from __future__ import annotations

from typing import Any

from loadflow.engine.redact import Redactor
from loadflow.engine.session import Session

__all__ = ["redactor_of"]


def redactor_of(session: Session, *documents: Any) -> Redactor:
    """Masks what stands under a secret name in the session's variables or in `documents`, wherever its value turns up.

    >>> redactor_of(Session(variables={"password": "hunter22"})).text("hunter22 was refused")
    '*** was refused'
    """
    redactor = Redactor()
    for document in (session.variables.values, *documents):
        redactor.learn_from(document)
    return redactor
