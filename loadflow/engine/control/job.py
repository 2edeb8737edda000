"""One script that a client started: a session and a thread of its own, what it did so far, and its end."""

from __future__ import annotations

import threading
import time
import uuid
from collections import deque
from collections.abc import Callable
from enum import StrEnum
from typing import Any

from loadflow.engine.command import Command, Policy
from loadflow.engine.control.snapshots import legacy_values, result_json, snapshot_json, verdict_json
from loadflow.engine.execute import Results, call_with_retries, load_script, run_actions, verdict_of
from loadflow.engine.records.run import Run
from loadflow.engine.records.snapshot import Snapshot
from loadflow.engine.redact import Redactor
from loadflow.engine.script.document import Action, Script
from loadflow.engine.script.json_text import load_json
from loadflow.engine.session import Observer, Session, use_session
from loadflow.engine.verdict import Verdict, VerdictKind, worst
from loadflow.errors import Interrupted, LoadflowError, Mistake, ScriptError

__all__ = ["Job", "JobState"]


class JobState(StrEnum):
    CHECKING = "checking"
    RUNNING = "running"
    ENDED = "ended"


class Job(Observer):
    """`run` is the thread's whole life; everything else may be asked from any thread.

    `on_checked` is called once, with None or why the script can't be run as written, in which case nothing else happens.
    `on_change` is called whenever there is something new to tell a follower. Both on the job's thread.
    """

    def __init__(
        self,
        session: Session,
        document: Any,
        text: str,
        redactor: Redactor,
        *,
        kept_snapshots: int,
        keep_values: bool,
        on_checked: Callable[[Job, ScriptError | None], None],
        on_change: Callable[[Job], None],
    ) -> None:
        self.id = uuid.uuid4().hex[:12]
        self.label = session.label
        self.state = JobState.CHECKING
        self.started_unix_s = time.time()
        self.ended_unix_s: float | None = None
        self.result: dict[str, Any] | None = None
        self.values: list[Any] = []  # one for each action, of any size; kept only when asked for
        self.thread = threading.Thread(target=self.run, name=f"loadflow-run-{self.id}", daemon=True)
        self._session = session
        self._document = document
        self._text = text
        self._redactor = redactor
        self._keep_values = keep_values
        self._on_checked = on_checked
        self._on_change = on_change
        self._stop_reason = ""
        self._actions = 0
        self._at = 0
        self._snapshots: deque[dict[str, Any]] = deque(maxlen=kept_snapshots)
        self._taken = 0
        self._lock = threading.Lock()

    # -- what clients ask

    def stop(self, reason: str) -> None:
        """Ask for the end: of the load that runs, or before the next action. The first reason stays."""
        self._stop_reason = self._stop_reason or reason

    def mask(self, text: str) -> str:
        """`text` without the secrets that the script holds."""
        return self._redactor.text(text)

    def facts(self) -> dict[str, Any]:
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
            "verdict": self.result["verdict"] if self.result else None,
        }

    def snapshots(self, since: int, most: int) -> tuple[int, list[dict[str, Any]]]:
        """Up to `most` snapshots from number `since` on, and the number that comes after them.

        Those that are kept no longer are jumped over: the seconds show the gap.
        """
        with self._lock:
            oldest = self._taken - len(self._snapshots)
            first = max(since, oldest)
            found = [self._snapshots[number - oldest] for number in range(first, min(first + most, self._taken))]
            return first + len(found), found

    # -- Observer

    def snapshot(self, run: Run, snapshot: Snapshot) -> None:
        data = snapshot_json(run, snapshot)
        with self._lock:
            self._snapshots.append(data)
            self._taken += 1
        self._on_change(self)

    def stop_requested(self) -> str:
        return self._stop_reason

    # -- the thread

    def run(self) -> None:
        self._redactor.learn_from(self._document)
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
        finally:
            self._session.close()
        with self._lock:
            self.result = result
            self.ended_unix_s = time.time()
            self.state = JobState.ENDED
        self._on_change(self)

    def _checked(self) -> Script:
        # the connection has read the text quickly; this reader also finds keys that are there twice
        mistakes = load_json(self._text)[1]
        if mistakes:
            raise ScriptError(mistakes)
        try:
            with use_session(self._session):
                return load_script(self._document, session=self._session)
        except ScriptError:
            raise
        except Exception as error:  # whatever it is, somebody waits for an answer
            raise ScriptError(
                [Mistake("", f"the script can't be checked ({type(error).__name__}: {error})", "please report it")]
            ) from error

    def _run(self, script: Script) -> dict[str, Any]:
        results = Results()

        def run_one(position: int, action: Action, command: Command, policy: Policy) -> Any:
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
        except (Exception, SystemExit) as error:  # noqa: BLE001  the outermost loop of this thread: whoever follows must be told
            text = str(error) if isinstance(error, LoadflowError) else f"{type(error).__name__}: {error}"
            self.values = [f"Error: {self._redactor.text(text)}"]
            return self._failed(text)
        return result_json(results, verdict, self._session.all_runs, self._redactor)

    def _failed(self, text: str) -> dict[str, Any]:
        verdict = verdict_json(Verdict(VerdictKind.ERROR, (text,)), self._redactor)
        loads = [{"load": run.facts.id, "folder": str(run.folder)} for run in self._session.all_runs]
        return {"verdict": verdict, "ok": False, "loads": loads, "actions": []}
