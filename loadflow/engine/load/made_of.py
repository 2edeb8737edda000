"""What a load is made of, noted before it starts: what was asked for, the files that it reads, the program, the machine, who started it."""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from loadflow.engine.base.json_reading import read_json
from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.base.redact import MASK, Redactor
from loadflow.engine.fleet.package import files_of
from loadflow.engine.load.build import REVISION, Asked
from loadflow.engine.machine.facts import this_machine, version_of
from loadflow.engine.plan.plan import Plan
from loadflow.engine.plan.secrets import redactor_of
from loadflow.engine.records.evidence import digest_of
from loadflow.engine.session.session import Session

__all__ = ["IMAGE_VARIABLE", "asked_of", "digests_of", "load_digest", "made_of", "unmasked", "who"]

IMAGE_VARIABLE = "LOADFLOW_IMAGE"  # which no program in a container can find out by itself
PLACEHOLDER = re.compile(r"\$\{[^}]*\}")
# who started a job, by the variables of the services that set them
STARTED_BY = {
    "github": ("GITHUB_ACTOR", "GITHUB_REPOSITORY", "GITHUB_WORKFLOW", "GITHUB_RUN_ID", "GITHUB_SHA"),
    "gitlab": ("GITLAB_USER_LOGIN", "CI_PROJECT_PATH", "CI_PIPELINE_URL", "CI_COMMIT_SHA"),
    "jenkins": ("BUILD_USER_ID", "JOB_NAME", "BUILD_URL"),
}


def made_of(session: Session, asked: Asked) -> dict[str, object]:
    """The `made_of` of a run's evidence. What run.json has (the plan, versions, host, calibration, revision) is not said again here."""
    plan = asked.plan
    kept = asked_of(session, plan, asked.arguments)
    redactor = redactor_of(plan, session.environment)
    by = {**who(), **session.started_by}
    return {"asked": kept, "digests": digests_of(plan, kept), "by": redactor.value(by)}


def asked_of(session: Session, plan: Plan, arguments: Mapping[str, object]) -> JsonObject:
    """All that the load follows from, as it was written: placeholders stay, secrets are masked. `masked`: places that held a secret in
    clear, so that what is kept is not all of it."""
    redactor = redactor_of(plan, session.environment)
    redactor.learn(sorted(session.told_secrets))
    budget = session.budget.budget if session.budget else None
    written = {
        "arguments": dict(arguments),
        "variables": session.variables.values,
        "given": sorted(session.variables.given),
        "sources": [asdict(one) for one in session.variables.sources],
        "target": asdict(session.target),
        "workers": asdict(session.workers) if session.workers else None,
        "network": asdict(session.network) if session.network else None,
        "budget": [budget.threshold, budget.window_seconds, budget.min_samples] if budget else None,
        "session": {"name": session.name, "label": session.label},
        "pace_seed": plan.pace.seed if plan.pace else None,
    }
    plain = json.loads(json.dumps(written, default=str))
    masked: list[str] = []
    kept: dict[str, object] = unmasked(plain, redactor.value(plain), redactor, "", masked)
    return {**kept, "masked": masked}


def load_digest(session: Session, plan: Plan, arguments: Mapping[str, object], *, with_build: bool = True) -> tuple[str, bool]:
    """The same for loads that are one and the same: of script, variables, target, data and code, but not of seeds that are drawn.

    And whether a secret in clear is left out of it. `with_build`: the target's revision counts.
    """
    asked = asked_of(session, plan, arguments)
    if not with_build:
        for written in (asked["arguments"], asked["variables"]):
            written.pop(REVISION, None)
    digests = digests_of(plan, asked)
    told = [asked["arguments"], asked["variables"], asked["target"], digests["data"], digests["code"]]
    return _sha256(json.dumps(told, sort_keys=True).encode(errors="replace")), bool(asked["masked"])


def unmasked(written: object, shown: object, redactor: Redactor, place: str, masked: list[str]) -> Any:
    """`shown`, but with texts as they were written where nothing but placeholders was masked in them."""
    if isinstance(written, dict) and isinstance(shown, dict):
        return {key: unmasked(value, shown[key], redactor, f"{place}.{key}".lstrip("."), masked) for key, value in written.items()}
    if isinstance(written, list) and isinstance(shown, list):
        return [
            unmasked(value, other, redactor, f"{place}[{number}]", masked)
            for number, (value, other) in enumerate(zip(written, shown, strict=True))
        ]
    if shown == written:
        return shown
    if isinstance(written, str) and shown != MASK and PLACEHOLDER.search(written):
        rest = PLACEHOLDER.sub("", written)
        if redactor.text(rest).replace(MASK, "") == rest:
            return written
    masked.append(place)
    return shown


def digests_of(plan: Plan, kept: Mapping[str, object]) -> dict[str, object]:
    """SHA-256 of the script, of the files that the load reads, of what the protocols looked up (descriptors, Python files), and of this
    program. `image`: as the container's environment names it, "" where it does not."""
    fetched = {one.file_path: f"{one.name} of {one.fetched_from}" for one in plan.sources if one.fetched_from}
    canonical = json.dumps({key: value for key, value in kept.items() if key != "session"}, sort_keys=True, separators=(",", ":"))
    return {
        "script": _sha256(canonical.encode(errors="replace")),
        "data": {fetched.get(path, path): _of_file(path) for path in files_of(plan)},
        "code": {key: _sha256(value.encode(errors="replace")) for key, value in sorted(plan.material.items())},
        "loadflow": {"version": version_of("loadflow"), "files": _own_files(), "wheel": _wheel()},
        "image": os.environ.get(IMAGE_VARIABLE, ""),
        "machine": asdict(this_machine()),
    }


def _of_file(path: str) -> dict[str, object]:
    try:
        return digest_of(Path(path))
    except OSError as error:
        return {"why": error.strerror or "can't be read"}  # a folder of certificates; the check has reported what is missing


@cache
def _own_files() -> str:
    """Of all the code of this program, the core too: what was installed, however it was."""
    root = Path(__file__).parents[2]
    digest = hashlib.sha256()
    for path in sorted(_code_below(root)):
        digest.update(f"{path.relative_to(root).as_posix()}\0{digest_of(path)['sha256']}\n".encode())
    return digest.hexdigest()


def _code_below(root: Path) -> Iterator[Path]:
    for path in root.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyi":
            yield path


@cache
def _wheel() -> str:
    """The digest of the wheel that was installed, where the installer kept it: one that was named by its file or address."""
    try:
        text = metadata.distribution("loadflow").read_text("direct_url.json")
        return str(read_json(text or "{}").get("archive_info", {}).get("hashes", {}).get("sha256", ""))
    except (metadata.PackageNotFoundError, ValueError, AttributeError):
        return ""


def who() -> dict[str, object]:
    """The user of this process, and the job of a service that it belongs to."""
    return {"user": _user(), **_service(os.environ)}


def _service(env: Mapping[str, str]) -> dict[str, object]:
    found = {service: {name: env[name] for name in names if env.get(name)} for service, names in STARTED_BY.items()}
    return {service: values for service, values in found.items() if values}


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a number without a name, in a container
        return str(os.getuid())


def _sha256(data: bytes | Sequence[int]) -> str:
    return hashlib.sha256(bytes(data)).hexdigest()
