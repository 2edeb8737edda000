"""Asks Prometheus and the conditions of a load while it runs, on a thread of its own: a slow server delays nothing but its answer."""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from loadflow.engine.exporters.shared.arguments import url_of
from loadflow.engine.exporters.shared.bounded import Bounded
from loadflow.engine.exporters.shared.trouble import Unreachable, without_user
from loadflow.engine.load.asking import TIMEOUT_S, BadQuery, PrefectAnswers, Prometheus, Said, ask_condition
from loadflow.engine.load_test.model import StartTest
from loadflow.engine.load_test.watching import OnlyIf, PromqlPart, condition_of, target_threshold_of
from loadflow.engine.plan.target import HostLists
from loadflow.engine.records.watched import ANSWERS, Answer, AnswerLog, Watched, decide_target
from loadflow.engine.session.masking import redactor_of
from loadflow.engine.session.session import Session
from loadflow.errors import CommandError, ConditionBroken, Mistake

__all__ = ["Questions", "TargetWatch", "questions_of", "refuse_broken"]

ROOT = "LD_start_test"
EVERY_S = 5.0
END_S = 15.0  # for the answers that were missed, once the load is over
AWAY = 3  # so many times in a row a condition must not have been asked to count as broken
PAUSED, SHRUNK = 1e-6, 0.5  # of the rate
NO_PREFECT = "run the script with `loadflow run`, without --direct, or as a deployment; or remove it"


@dataclass(frozen=True, slots=True)
class Questions:
    """What a load asks, and of whom. `watched`: as it may be written; `queries`: of its thresholds, with their secrets."""

    watched: Watched
    queries: tuple[str, ...]
    conditions: tuple[OnlyIf, ...]
    url: str
    headers: dict[str, str]
    lists: HostLists
    prefect: PrefectAnswers | None
    masked: Callable[[str], str]

    def ask(self, web: Bounded) -> Prometheus | None:
        return Prometheus(web, self.url, self.headers) if self.url else None


def questions_of(test: StartTest, session: Session) -> Questions | None:
    """Of a settled `StartTest`; None where nothing is asked. Raises CommandError where nobody is named who could answer."""
    thresholds = [one for one in test.thresholds if isinstance(one, PromqlPart)]
    conditions = tuple(test.only_if)
    if not thresholds and not conditions:
        return None
    at = test.prometheus
    url = (at if isinstance(at, str) else at.url) if at is not None else ""
    mistakes = []
    if url:
        url_of(f"{ROOT}.prometheus", url, "http://prometheus:9090", session)
    elif thresholds or any(one.promql for one in conditions):
        text = "no Prometheus is named that could answer the queries"
        mistakes.append(Mistake(f"{ROOT}.prometheus", text, 'write "prometheus": "http://HOST:9090", or set it in the Load Target block'))
    for number, one in enumerate(conditions):
        if one.http:
            url_of(f"{ROOT}.only_if[{number}].http", one.http, "http://shop/health", session)
        if (one.variable or one.automation) and session.ask_prefect is None and not session.rehearsing:
            kind = "variable" if one.variable else "automation"
            mistakes.append(Mistake(f"{ROOT}.only_if[{number}].{kind}", "is Prefect's, and this is no flow run", NO_PREFECT))
    if mistakes:
        raise CommandError(mistakes)
    masked = redactor_of(session).text
    every_s = EVERY_S if at is None or isinstance(at, str) else float(at.every)
    watched = Watched(
        without_user(url)[1] if url else "",
        every_s,
        tuple(replace(one, promql=masked(one.promql), title=masked(one.title)) for one in map(target_threshold_of, thresholds)),
        tuple(replace(one, text=masked(one.text)) for one in map(condition_of, conditions)),
    )
    headers = {} if at is None or isinstance(at, str) else dict(at.headers)
    queries = tuple(one.promql for one in thresholds)
    return Questions(watched, queries, conditions, url, headers, session.target.export_lists(), session.ask_prefect, masked)


def refuse_broken(questions: Questions) -> None:
    """Before the load. Raises ConditionBroken for a condition that does not hold, or can't be asked; CommandError for a wrong query."""
    web = Bounded(TIMEOUT_S, questions.lists)
    try:
        prometheus, now = questions.ask(web), time.time()
        for number, query in enumerate(questions.queries):
            try:
                assert prometheus is not None
                prometheus.values(query, now)
            except BadQuery as error:
                place, hint = f"{ROOT}.thresholds (PromQL {number + 1})", "try the query in Prometheus itself"
                raise CommandError([Mistake(place, questions.masked(str(error)), hint)]) from None
            except Unreachable:
                break  # it may be there later; the verdict says what is missing
        for one, condition in zip(questions.conditions, questions.watched.only_if, strict=True):
            said, _ = ask_condition(one, web, prometheus, questions.prefect, now)
            if said.holds is not True:
                why = questions.masked(said.why or "no answer")
                raise ConditionBroken(f"an interlock holds the load back: {condition.text}: {why}; nothing was sent")
    finally:
        web.close()


class TargetWatch:
    """Of one load. `breach`: why a threshold ends it; `ended`: why a condition does; both "" while they do not."""

    def __init__(self, folder: Path, questions: Questions, clock: Callable[[], float] = time.time) -> None:
        self.breach = ""
        self.ended = ""
        self._questions = questions
        self._watched = questions.watched
        self._log = AnswerLog(folder, questions.watched)
        self._clock = clock
        self._web = Bounded(TIMEOUT_S, questions.lists)
        self._prometheus = questions.ask(self._web)
        self._began_unix_s = 0.0
        self._over = threading.Event()
        self._answers: list[list[Answer]] = [[] for _ in self._watched.thresholds]
        self._unheard = [0] * len(questions.conditions)
        self._broken = [False] * len(questions.conditions)
        self._asked_factor = 1.0
        self._factor_of_load = 1.0
        context = contextvars.copy_context()  # Prefect's settings are in it
        self._thread = threading.Thread(target=context.run, args=(self._work,), name="loadflow-target", daemon=True)

    def start(self, began_unix_s: float) -> None:
        self._began_unix_s = began_unix_s
        self._thread.start()

    def rate_factor(self) -> float:
        """By what the load's rate has to be multiplied now; given once."""
        factor = self._asked_factor / self._factor_of_load
        self._factor_of_load = self._asked_factor
        return factor

    def finish(self, ran_s: float) -> None:
        """Ask at the load's end, and again for what was not answered; then no more."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(2 * EVERY_S * (1 + len(self._answers) + len(self._unheard)))
        try:
            if self._began_unix_s and not self._thread.is_alive():
                self._fill(ran_s)
        finally:
            self._log.close()
            self._web.close()

    def _work(self) -> None:
        turn = 0
        while not self._over.is_set():
            try:
                self._round(turn * self._watched.every_s)
            except OSError as error:  # of the file of answers: a load that nobody watches must not go on
                self.ended = f"ended early: {ANSWERS} can't be written ({error.strerror or error})"
                return
            turn = int((self._clock() - self._began_unix_s) / self._watched.every_s) + 1  # what a slow answer took is left out
            self._over.wait(max(0.0, self._began_unix_s + turn * self._watched.every_s - self._clock()))

    def _round(self, at_s: float) -> None:
        for number in range(len(self._answers)):
            if self._over.is_set():
                return
            answer = self._threshold(number, at_s)
            self._answers[number].append(answer)
            self._log.add(answer)
            self._hold(number, at_s)
        for number, one in enumerate(self._questions.conditions):
            if self._over.is_set():
                return
            said, values = ask_condition(one, self._web, self._prometheus, self._questions.prefect, self._clock())
            said = replace(said, why=self._questions.masked(said.why))
            values = {self._questions.masked(name): self._shown(value) for name, value in values.items()}
            self._log.add(Answer(at_s, "condition", number, values or None, said.why, said.holds))
            self._react(number, said)

    def _shown(self, value: object) -> object:
        return self._questions.masked(value) if isinstance(value, str) else value

    def _threshold(self, number: int, at_s: float) -> Answer:
        assert self._prometheus is not None
        try:
            values = self._prometheus.values(self._questions.queries[number], self._began_unix_s + at_s)
        except (Unreachable, BadQuery) as error:
            return Answer(at_s, "threshold", number, None, self._questions.masked(str(error)))
        return Answer(at_s, "threshold", number, {self._questions.masked(labels): value for labels, value in values.items()})

    def _hold(self, number: int, at_s: float) -> None:
        threshold = self._watched.thresholds[number]
        if self.breach or not threshold.abort_on_fail or at_s < threshold.abort_delay_s:
            return
        result = decide_target(threshold, self._answers[number], at_s)
        if result.state == "failed":
            self.breach = result.text

    def _react(self, number: int, said: Said) -> None:
        condition = self._watched.only_if[number]
        self._unheard[number] = self._unheard[number] + 1 if said.holds is None else 0
        if said.holds is None and self._unheard[number] < AWAY:
            return  # one answer that was missed changes nothing
        self._broken[number] = said.holds is not True
        if self._broken[number] and condition.reaction == "end" and not self.ended:
            self.ended = f"ended early by an interlock: {condition.text}: {said.why or 'it does not hold'}"
        reactions = {one.reaction for one, broken in zip(self._watched.only_if, self._broken, strict=True) if broken}
        self._asked_factor = PAUSED if "pause" in reactions else SHRUNK if "shrink" in reactions else 1.0

    def _fill(self, ran_s: float) -> None:
        """Prometheus keeps what it knew: what it did not say in time, it says now."""
        until = time.monotonic() + END_S
        for number, answers in enumerate(self._answers):
            if ran_s - (answers[-1].at_s if answers else 0.0) >= 1.0 or not answers:
                answers.append(Answer(ran_s, "threshold", number))
            for place in _unanswered(answers):
                if time.monotonic() > until:
                    return
                answer = self._threshold(number, answers[place].at_s)
                self._log.add(answer)
                if answer.values is None:
                    return  # it is away
                answers[place] = answer


def _unanswered(answers: Sequence[Answer]) -> list[int]:
    """The last first: it is the one that nobody asked for yet."""
    return [place for place in reversed(range(len(answers))) if answers[place].values is None]
