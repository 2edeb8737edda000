"""One script that a client started: a session and a thread of its own, what it did so far, and its end."""

from __future__ import annotations

import json
import logging
import threading
import time
import uuid
import zlib
from collections import deque
from collections.abc import Callable
from enum import StrEnum

from loadflow.engine.base.counted import counted
from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.base.redact import Redactor
from loadflow.engine.base.verdict import Verdict, VerdictKind, worst
from loadflow.engine.control.envelope import MOST_MISTAKES
from loadflow.engine.control.limits import Limits
from loadflow.engine.control.snapshots import legacy_values, result_json, snapshot_json, verdict_json
from loadflow.engine.machine.memory import give_back
from loadflow.engine.records.run import Run
from loadflow.engine.records.snapshot import Snapshot
from loadflow.engine.script.command import Command, Policy
from loadflow.engine.script.document import Action, Script
from loadflow.engine.script.json_text import load_json
from loadflow.engine.script.secrets_written import learn_document
from loadflow.engine.script.visit import ROOT_KEY
from loadflow.engine.session.execute import Results, call_with_retries, load_script, run_actions, verdict_of
from loadflow.engine.session.observer import Observer
from loadflow.engine.session.session import Session, use_session
from loadflow.errors import Interrupted, LoadflowError, Mistake, ScriptError

__all__ = ["Job", "JobState"]

log = logging.getLogger("loadflow.control")

LONGEST_TEXT = 4_000  # characters of a mistake's place, message or hint


class JobState(StrEnum):
    CHECKING = "checking"
    RUNNING = "running"
    ENDED = "ended"


class Job(Observer):
    """`run` is the thread's whole life; everything else may be asked from any thread.

    `on_checked` is called once, with None or why the script can't be run as written, in which case nothing else happens.
    `on_change` is called whenever there is something new for a follower. Both on the job's thread, as is `tell`, which says what
    followers hear of a second of load.
    """

    def __init__(
        self,
        session: Session,
        document: object,
        text: str,
        redactor: Redactor,
        *,
        limits: Limits,
        keep_values: bool,
        tell: Callable[[Run, Snapshot], JsonObject] = snapshot_json,
        on_checked: Callable[[Job, ScriptError | None], None],
        on_change: Callable[[Job], None],
    ) -> None:
        self.id = uuid.uuid4().hex[:12]
        self.label = session.label
        self.state = JobState.CHECKING
        self.started_unix_s = time.time()
        self.ended_unix_s: float | None = None
        self._result: bytes | None = None  # JSON, compressed: a tenth of what its values take, or less
        self.values: list[object] = []  # one for each action, of any size; kept only when asked for
        self.thread = threading.Thread(target=self.run, name=f"loadflow-run-{self.id}", daemon=True)
        self._session = session
        self._verdict: JsonObject | None = None
        self._document = document
        self._text = text
        self._redactor = redactor
        self._keep_values = keep_values
        self._tell = tell
        self._limits = limits
        self._on_checked = on_checked
        self._on_change = on_change
        self._stop_reason = ""
        self._actions = 0
        self._at = 0
        self._snapshots: deque[bytes] = deque()  # as JSON
        self._kept_bytes = 0
        self._taken = 0
        self._lock = threading.Lock()

    # -- what clients ask

    @property
    def result(self) -> JsonObject | None:
        """Verdict, loads, and each action's value or error; None while it runs."""
        found: dict[str, object] | None = None if self._result is None else json.loads(zlib.decompress(self._result))
        return found

    @property
    def result_bytes(self) -> int:
        """What the result takes as long as it is kept."""
        return len(self._result or b"")

    def stop(self, reason: str) -> None:
        """Ask for the end: of the load that runs, or before the next action. The first reason stays."""
        self._stop_reason = self._stop_reason or reason

    def mask(self, text: str) -> str:
        """`text` without the secrets that the script holds."""
        return self._redactor.text(text)

    def told(self, error: ScriptError | None) -> list[Mistake]:
        """As many mistakes as an answer lists, cut and then masked."""
        found = error.mistakes if error else ()
        cut = [[text[:LONGEST_TEXT] for text in (one.place, one.message, one.hint)] for one in found[:MOST_MISTAKES]]
        return [Mistake(*map(self.mask, texts)) for texts in cut]

    def facts(self) -> JsonObject:
        """One entry of `list`."""
        return {
            "run": self.id,
            "state": str(self.state),
            "label": self._redactor.text(self.label),
            "started_unix_s": self.started_unix_s,
            "ended_unix_s": self.ended_unix_s,
            "actions": self._actions,
            "action": self._at,
            "stopping": bool(self._stop_reason) and self.state is not JobState.ENDED,
            "verdict": self._verdict,
        }

    def snapshots(self, since: int, most: int) -> tuple[int, list[bytes]]:
        """Up to `most` snapshots from number `since` on, as JSON, and the number that comes after them.

        Those that are kept no longer are jumped over: the seconds show the gap.
        """
        with self._lock:
            oldest = self._taken - len(self._snapshots)
            first = max(since, oldest)
            found = [self._snapshots[number - oldest] for number in range(first, min(first + most, self._taken))]
            return first + len(found), found

    # -- Observer

    def snapshot(self, run: Run, snapshot: Snapshot) -> None:
        data = json.dumps(self._tell(run, snapshot), separators=(",", ":"), default=str).encode()
        with self._lock:
            self._snapshots.append(data)
            self._kept_bytes += len(data)
            self._taken += 1
            limits = self._limits
            while len(self._snapshots) > 1 and (
                len(self._snapshots) > limits.kept_snapshots or self._kept_bytes > limits.kept_snapshot_bytes
            ):
                self._kept_bytes -= len(self._snapshots.popleft())
        self._on_change(self)

    def stop_requested(self) -> str:
        return self._stop_reason

    # -- the thread

    def run(self) -> None:
        """Whatever happens, the job ends: one that did not would hold its place for ever."""
        try:
            script = self._checked()
        except ScriptError as error:
            self._on_checked(self, error)
            return
        finally:
            self._document, self._text = None, ""
        self._actions = len(script.actions)
        self.state = JobState.RUNNING
        self._on_checked(self, None)
        self._session.observers.append(self)
        try:
            result = self._run(script)
        except BaseException as error:
            log.exception("run %s failed", self.id)
            result = self._failed(f"{type(error).__name__}: {error}")
        try:
            self._session.close()
        except Exception:  # something that the script had started does not end as it should
            log.exception("run %s: its session could not be closed", self.id)
        with self._lock:
            self._result = zlib.compress(json.dumps(result, default=str).encode(), 1)
            self.label = self._redactor.text(self.label)
            self._redactor = Redactor()  # the secrets and what the session held are needed no more
            del self._session, self._tell
            self._verdict = result["verdict"]
            self.ended_unix_s = time.time()
            self.state = JobState.ENDED
        del result
        give_back()
        self._on_change(self)

    def _checked(self) -> Script:
        self._refuse_too_much()
        # the connection has read the text quickly; this reader also finds keys that are there twice
        mistakes = load_json(self._text)[1]
        if mistakes:
            raise ScriptError(mistakes)
        try:
            learn_document(self._redactor, self._document, self._session.commands)
            with use_session(self._session):
                return load_script(self._document, session=self._session)
        except ScriptError:
            raise
        except Exception as error:  # any error must be reported, because a client waits for an answer
            raise ScriptError(
                [Mistake("", f"the script can't be checked ({type(error).__name__}: {error})", "please report it")]
            ) from error

    def _refuse_too_much(self) -> None:
        """What a check would take long for: it can't be ended from outside."""
        # every value but the first of a list or an object stands behind a comma
        about, most = self._text.count(",") + self._text.count(":"), self._limits.values
        if about > most:
            raise ScriptError(
                [Mistake("", f"the script has more than {counted(most, 'value')}", "put data into a CSV file, or write several scripts")]
            )
        actions = self._document.get(ROOT_KEY) if isinstance(self._document, dict) else self._document
        if isinstance(actions, list) and len(actions) > self._limits.actions:
            message = f"the script has {counted(len(actions), 'action')}, but this server accepts at most {self._limits.actions:,}"
            raise ScriptError([Mistake("", message, "write several scripts")])

    def _run(self, script: Script) -> JsonObject:
        results = Results()

        def run_one(position: int, action: Action, command: Command, policy: Policy) -> object:
            self._at = position + 1
            if self._stop_reason:
                raise Interrupted(f"{action.name} was not run: {self._stop_reason}")
            return call_with_retries(command, action, policy)

        try:
            with use_session(self._session):
                results = run_actions(script, self._session, run_one)
                verdict = results.verdict
            if self._keep_values:
                self.values = legacy_values(results, self._redactor)
        except Interrupted as error:
            verdict = worst((verdict_of(self._session, ()), Verdict(VerdictKind.INTERRUPTED, (str(error),))))
            self.values = [f"Error: {self._redactor.text(str(error))}"]
        except (Exception, SystemExit) as error:  # noqa: BLE001  the outermost loop of this thread: followers must get the end
            text = str(error) if isinstance(error, LoadflowError) else f"{type(error).__name__}: {error}"
            self.values = [f"Error: {self._redactor.text(text)}"]
            return self._failed(text)
        return result_json(results, verdict, self._session.all_runs, self._redactor)

    def _failed(self, text: str) -> dict[str, object]:
        verdict = verdict_json(Verdict(VerdictKind.ERROR, (text,)), self._redactor)
        loads = [{"load": run.facts.id, "folder": str(run.folder)} for run in self._session.all_runs]
        return {"verdict": verdict, "ok": False, "loads": loads, "actions": []}
