"""A redactor that knows the secrets of one session, for all text of it that leaves the process."""

from __future__ import annotations

from loadflow.engine.base.redact import Redactor
from loadflow.engine.script.secrets_written import learn_document
from loadflow.engine.session.session import Session

__all__ = ["redactor_of"]


def redactor_of(session: Session, *documents: object) -> Redactor:
    """Masks what stands under a secret name in the session's variables or in `documents`, and what `${secret.…}` was filled in with,
    wherever its value turns up.

    >>> redactor_of(Session(variables={"password": "hunter22"})).text("hunter22 was refused")
    '*** was refused'
    """
    redactor = Redactor()
    redactor.learn_from(session.variables.values)
    redactor.learn(sorted(session.told_secrets))
    for document in documents:
        learn_document(redactor, document, session.commands)
    return redactor
