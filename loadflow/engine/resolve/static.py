"""What is missing before anything runs: every placeholder of a value, held against what the plan will have."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from loadflow.engine.base.extras import way_to_install
from loadflow.engine.resolve.data import looks_separated
from loadflow.engine.resolve.fake import faker_methods, trouble_with
from loadflow.engine.resolve.variables import suggestion
from loadflow.engine.script.placeholders import Token, scan, texts

__all__ = ["missing_in", "tokens_in"]


def missing_in(
    value: object,
    *,
    variables: Collection[str],
    session: Collection[str] = (),
    sources: Mapping[str, Collection[str]],
    env: Collection[str],
) -> list[str]:
    """One message for each placeholder that can never have a value, in the order they stand; empty if all may have one.

    `variables` and `session` are the names that are registered, given to the test or extracted by any of its steps; `sources`
    gives the columns of each CSV source; `env` the names that are set. Whether a step that extracts runs in time can't be known
    here: that is a `MissingValue` of the hit.

    >>> missing_in("/${csv.users.nme}", variables=(), sources={"users": ("name",)}, env=())
    ["${csv.users.nme}: csv source 'users' has no column 'nme'; did you mean 'name'?"]
    """
    found = []
    for _, text, is_key in texts(value):
        if is_key:
            found.append(f"{text!r}: a placeholder in a key; keys are names and stay as they are: put the placeholder into a value")
            continue
        for token in scan(text):
            problem, way_out = _trouble(token, variables, session, sources, env)
            if problem:
                found.append(f"{token.text}: {problem}; {way_out}")
    return list(dict.fromkeys(found))


def tokens_in(value: object) -> Iterator[Token]:
    """Every placeholder in the strings of a JSON value, keys apart, in the order they stand."""
    return (token for _, text, is_key in texts(value) if not is_key for token in scan(text))


def _trouble(
    token: Token, variables: Collection[str], session: Collection[str], sources: Mapping[str, Collection[str]], env: Collection[str]
) -> tuple[str, str]:
    """What is wrong with one placeholder and the way out; two empty texts if nothing is."""
    name = token.parts[0] if token.parts else ""
    match token.kind:
        case "var" if name not in variables:
            return f"no variable {name!r}", suggestion(name, variables) or "register it, or let a step extract it"
        case "session" if name not in session:
            return f"no session value {name!r}", suggestion(name, session) or "let a step extract it with scope 'session'"
        case "env" if name not in env:
            return f"no environment variable {name!r}", suggestion(name, env) or "set it before the run"
        case "csv" if name not in sources:
            return f"no csv source {name!r}", suggestion(name, sources) or "register it, or add it to csv_sources"
        case "csv" if token.parts[1] not in sources[name]:
            column = token.parts[1]
            known = f"it has {', '.join(list(sources[name])[:20])}"
            way_out = looks_separated(sources[name]) or suggestion(column, sources[name]) or known
            return f"csv source {name!r} has no column {column!r}", way_out
        case "faker" if trouble := trouble_with(name):
            if not (methods := faker_methods()):
                return trouble, way_to_install("faker")
            return trouble, suggestion(name, methods) or "see faker.readthedocs.io for the methods there are"
        case "bad":
            return token.problem, token.hint
    return "", ""
