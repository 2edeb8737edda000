"""What the server does for its clients: one method an operation, and the one thing that the unframed mode can ask for."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from loadflow.engine.control import envelope, legacy
from loadflow.engine.control.access import same_token
from loadflow.engine.control.connection import Connection, Follow
from loadflow.engine.control.envelope import ErrorKind, Refused, Request, error_frame, result_frame
from loadflow.engine.control.frames import FrameError
from loadflow.engine.control.job import Job, JobState
from loadflow.engine.control.jobs import Jobs
from loadflow.engine.control.limits import Limits
from loadflow.errors import Mistake, ScriptError

__all__ = ["Operations"]

log = logging.getLogger("loadflow.control")


class Operations:
    """`post` runs a function on the server's thread; `quit` begins the end, at once (False) or after the runs (True)."""

    def __init__(
        self, jobs: Jobs, limits: Limits, token: str | None, *, post: Callable[[Callable[[], None]], None], quit: Callable[[bool], None]
    ) -> None:
        self._jobs = jobs
        self._limits = limits
        self._token = token
        self._post = post
        self._quit = quit
        self.quitting = False
        self._table: dict[str, Callable[[Connection, Request], None]] = {
            "start": self._start,
            "follow": self._follow,
            "stop": self._stop,
            "list": self._list,
            "result": self._result,
            "quit": self._end,
        }

    # -- framed

    @staticmethod
    def read(body: bytes) -> Request | Refused:
        """The request in a frame, or why it can't be read; on any thread."""
        try:
            return envelope.read(body)
        except Refused as refused:
            return refused

    def answer(self, connection: Connection, request: Request | Refused) -> None:
        """Answer one frame that was read, now or when the answer is there."""
        if isinstance(request, Refused):
            self._refuse(connection, request, None)
            return
        try:
            self._authorise(connection, request.token)
            envelope.check(request)
            log.info("%s asks for %s", connection.peer.address, request.op)
            self._table[request.op](connection, request)
        except Refused as refused:
            self._refuse(connection, refused, request)

    def _authorise(self, connection: Connection, token: object) -> None:
        """One right token opens the connection for what follows on it."""
        if self._token is None or (connection.authorised and token is None):
            return
        if not same_token(self._token, token):
            log.warning("%s: %s", connection.peer.address, "no token" if token is None else "wrong token")
            connection.close_after_output()
            raise Refused(ErrorKind.UNAUTHORISED, "token required" if token is None else "unauthorised")
        connection.authorised = True

    def _refuse(self, connection: Connection, refused: Refused, request: Request | None) -> None:
        connection.send(error_frame(refused, request))

    def _reply(self, connection: Connection, request: Request, result: object) -> None:
        try:
            connection.send(result_frame(request, result))
        except FrameError as error:
            self._refuse(connection, Refused(ErrorKind.TOO_LARGE, str(error)), request)

    def _start(self, connection: Connection, request: Request) -> None:
        if self.quitting:
            raise Refused(ErrorKind.SHUTTING_DOWN, "the server is shutting down and starts nothing more")
        follow = bool(request.fields.get("follow"))
        if follow:
            self._may_follow(connection)

        def checked(job: Job, error: ScriptError | None) -> None:
            mistakes = job.told(error)  # on the job's thread: the others must not wait for it
            self._post(lambda: self._started(connection, request, job, mistakes, follow=follow))

        connection.owed += 1
        try:
            self._jobs.start(
                request.fields["script"],
                request.text,
                request.fields.get("label", ""),
                on_checked=checked,
                on_change=self._changed,
            )
        except Refused:
            connection.owed -= 1
            raise

    def _started(self, connection: Connection, request: Request, job: Job, mistakes: list[Mistake], *, follow: bool) -> None:
        connection.owed -= 1
        connection.rest(time.monotonic())
        if mistakes:
            self._refuse(connection, Refused(ErrorKind.SCRIPT, f"the script can't be run as written: {mistakes[0]}", mistakes), request)
            return
        log.info("%s started run %s", connection.peer.address, job.id)
        self._reply(connection, request, {"run": job.id})
        if follow and connection.peer.is_open:
            connection.follows[job.id] = Follow(job, request.id)

    def _changed(self, job: Job) -> None:
        self._post(lambda: None)  # waking the loop is enough: it asks the runs that are followed

    def _follow(self, connection: Connection, request: Request) -> None:
        job = self._jobs.get(request.fields["run"])
        self._may_follow(connection)
        if job.id in connection.follows:
            raise Refused(ErrorKind.BAD_REQUEST, f"this connection follows {job.id} already")
        self._reply(connection, request, {"run": job.id})
        connection.follows[job.id] = Follow(job, request.id)

    def _may_follow(self, connection: Connection) -> None:
        if len(connection.follows) >= self._limits.follows:
            raise Refused(ErrorKind.BUSY, f"a connection follows at most {self._limits.follows} runs; open another one")

    def _stop(self, connection: Connection, request: Request) -> None:
        job = self._jobs.get(request.fields["run"])
        if job.state is not JobState.ENDED:
            job.stop(request.fields.get("reason") or "a client asked for the end")
        self._reply(connection, request, job.facts())

    def _list(self, connection: Connection, request: Request) -> None:
        self._reply(connection, request, {"runs": [job.facts() for job in self._jobs.all()]})

    def _result(self, connection: Connection, request: Request) -> None:
        job = self._jobs.get(request.fields["run"])
        if job.result is None:
            raise Refused(ErrorKind.NOT_ENDED, f"run {job.id} is still {job.state}; follow it to hear of its end")
        self._reply(connection, request, job.result)

    def _end(self, connection: Connection, request: Request) -> None:
        wait = bool(request.fields.get("wait"))
        self._reply(connection, request, {"running": [job.id for job in self._jobs.running()], "wait": wait})
        self._quit(wait)

    # -- unframed

    @staticmethod
    def read_legacy(body: bytes) -> legacy.LegacyRequest | legacy.LegacyError:
        try:
            return legacy.parse(body)
        except legacy.LegacyError as error:
            return error

    def answer_legacy(self, connection: Connection, request: legacy.LegacyRequest | legacy.LegacyError) -> None:
        """Answer the one request of a connection, and close it."""
        if isinstance(request, legacy.LegacyError):
            self._end_legacy(connection, legacy.error_answer(str(request)))
            return
        try:
            self._authorise(connection, request.token)
            if not request.quit:
                self._start_legacy(connection, request)
                return
        except Refused as refused:
            self._end_legacy(connection, legacy.error_answer(refused.message))
            return
        self._end_legacy(connection, legacy.QUITTING)
        self._quit(False)

    def _start_legacy(self, connection: Connection, request: legacy.LegacyRequest) -> None:
        if self.quitting:
            raise Refused(ErrorKind.SHUTTING_DOWN, "the server is shutting down and starts nothing more")
        if request.script is None:
            raise Refused(ErrorKind.BAD_REQUEST, "the envelope has no command")

        def checked(job: Job, error: ScriptError | None) -> None:
            if error is not None:
                answer = legacy.error_answer(str(ScriptError(job.told(error))))
                self._post(lambda: self._answered(connection, answer))

        def changed(job: Job) -> None:
            if job.state is JobState.ENDED:
                values, job.values = job.values, []
                answer = legacy.records_answer(map(legacy.line_of, values))
                self._post(lambda: self._answered(connection, answer))

        connection.owed += 1
        try:
            job = self._jobs.start(request.script, request.text, "", keep_values=True, on_checked=checked, on_change=changed)
        except Refused:
            connection.owed -= 1
            raise
        log.info("%s started run %s", connection.peer.address, job.id)

    def _answered(self, connection: Connection, answer: bytes) -> None:
        connection.owed -= 1
        self._end_legacy(connection, answer)

    def _end_legacy(self, connection: Connection, answer: bytes) -> None:
        connection.send(answer)
        connection.close_after_output()
