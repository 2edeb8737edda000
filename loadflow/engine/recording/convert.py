"""From the entries of a recording to the steps of a test: reads twice, decides in between, writes once.

First all requests are read and the responses' bodies dropped; what the requests sent says which values to look for. The second
reading looks for these in one response after the other, so that memory holds the requests and one entry at a time.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import ValidationError

from loadflow.engine.base.json_value import JsonMapping, JsonObject
from loadflow.engine.protocols.http.step import HttpStep
from loadflow.engine.recording.cookies import unset_cookies
from loadflow.engine.recording.correlation import Correlation, Use, correlate, uses_of
from loadflow.engine.recording.dynamic import is_strong, looks_like_secret
from loadflow.engine.recording.exchange import Exchange, content_of, exchange_of
from loadflow.engine.recording.found import found_in_body, found_in_headers
from loadflow.engine.recording.found_value import Found
from loadflow.engine.recording.har_file import Har, entries_of
from loadflow.engine.recording.lifting import Lifter, swept
from loadflow.engine.recording.name import fewer_names, short_url, with_id
from loadflow.engine.recording.places import DOLLAR, Place, visit_values
from loadflow.engine.recording.playable import UrlFilter, why_unplayable
from loadflow.engine.recording.report import Correlated, LeftOut, Lifted, Loose, RecordingReport
from loadflow.engine.recording.step import draft_of, main_origin_of, status_assertions
from loadflow.engine.recording.think_time import ThinkRule, think_rule, think_times
from loadflow.engine.script.json_text import json_faults
from loadflow.engine.script.mistakes import faults_of, suggest
from loadflow.errors import CommandError, Mistake

__all__ = ["Conversion", "Options", "convert"]

SEARCHED_CHARACTERS = 4_000_000  # of one response: JSON takes about ten times its length when it is parsed
MOST_FOUND = 16  # responses and places that are remembered for one value; the first is nearly always the one
ORDER = [
    "method",
    "request_url",
    "name",
    "params",
    "headers",
    "cookies",
    "auth",
    "json",
    "data",
    "data_base64",
    "files",
    "allow_redirects",
    "assertions",
    "extract",
    "think_time",
]


@dataclass(frozen=True, slots=True)
class Options:
    """Checked options; `of` raises CommandError for wrong ones."""

    keeps: UrlFilter
    think: ThinkRule | None = None
    lift: bool = True

    @classmethod
    def of(
        cls,
        include: Sequence[str] | str | None = None,
        exclude: Sequence[str] | str | None = None,
        think_time: str | JsonMapping | None = None,
        secrets: str = "lift",
    ) -> Options:
        if secrets not in ("lift", "keep"):
            raise CommandError([Mistake("secrets", f"{str(secrets)[:40]!r} is not a choice", suggest(str(secrets), ("lift", "keep")))])
        return cls(UrlFilter(include, exclude), think_rule(think_time), secrets == "lift")


@dataclass(frozen=True, slots=True)
class Conversion:
    """`variables` are what the tasks need besides what the report says is lifted."""

    tasks: list[JsonObject]
    variables: JsonObject
    report: RecordingReport


def convert(har: Har, options: Options) -> Conversion:
    """The steps of a recording and a report. Raises CommandError if it is not a HAR, or has no entries."""
    report = RecordingReport()
    exchanges = _playable(har, options.keeps, report)
    origin = main_origin_of(exchanges)
    drafts: list[JsonObject] = []
    for exchange, cookies in zip(exchanges, unset_cookies(exchanges), strict=True):
        draft, notes = draft_of(exchange, origin)
        if cookies:
            draft["cookies"] = cookies
        drafts.append(draft)
        report.notes.extend(f"entry {exchange.index}: {draft['name']}: {note}" for note in notes)
    for draft, name in zip(drafts, fewer_names([draft["name"] for draft in drafts]), strict=True):
        draft["name"] = name
    uses = uses_of(drafts, exchanges)
    correlation = correlate(exchanges, uses, _found(har, exchanges, set(uses), report))
    tasks = _Writing(exchanges, drafts, uses, correlation, options, report).tasks()
    used = any(DOLLAR in json.dumps(task, ensure_ascii=False) for task in tasks)
    report.steps = len(tasks)
    return Conversion(tasks, {DOLLAR: "$"} if used else {}, report)


def _playable(har: Har, keeps: UrlFilter, report: RecordingReport) -> list[Exchange]:
    """In the order in which they began; those that don't say when that was keep their place."""
    exchanges = []
    for index, entry in enumerate(entries_of(har)):
        report.entries += 1
        exchange = exchange_of(entry, index)
        if exchange.url and not keeps(exchange.url):
            report.excluded += 1
        elif reason := why_unplayable(exchange):
            report.left_out.append(
                LeftOut(index, f"{exchange.method if exchange.method.isalpha() else ''} {short_url(exchange.url)}"[:300].strip(), reason)
            )
        else:
            exchanges.append(exchange)
    dated = iter(sorted((one for one in exchanges if one.started_s is not None), key=lambda one: one.started_s or 0.0))
    return [one if one.started_s is None else next(dated) for one in exchanges]


def _found(har: Har, exchanges: Sequence[Exchange], wanted: set[str], report: RecordingReport) -> dict[str, list[Found]]:
    """Where each wanted value was returned, in the order of the requests."""
    found: dict[str, list[Found]] = {}
    if not wanted:
        return found

    def note(value: str, one: Found) -> None:
        known = found.setdefault(value, [])
        if len(known) < MOST_FOUND:
            known.append(one)

    positions = {exchange.index: position for position, exchange in enumerate(exchanges)}
    for position, exchange in enumerate(exchanges):
        for value, one in found_in_headers(exchange, position, wanted):
            note(value, one)
    for index, entry in enumerate(entries_of(har)):
        if index not in positions:
            continue
        content = content_of(entry, SEARCHED_CHARACTERS)
        if content is not None:
            for value, one in found_in_body(content, positions[index], wanted):
                note(value, one)
    for known in found.values():
        known.sort(key=lambda one: one.position)
    return found


_Spot = tuple[int, str]  # a position, and the place in its step


@dataclass(slots=True)
class _Writing:
    """Puts placeholders into the drafts and says so in the report."""

    exchanges: Sequence[Exchange]
    drafts: list[JsonObject]
    uses: Mapping[str, list[Use]]
    correlation: Correlation
    options: Options
    report: RecordingReport
    lifter: Lifter = field(default_factory=Lifter)
    tied: dict[str, dict[_Spot, None]] = field(default_factory=dict)  # value to the places that now use its variable, in order
    lifted: dict[str, dict[_Spot, None]] = field(default_factory=dict)  # placeholder to places
    loose: dict[_Spot, Found | None] = field(default_factory=dict)  # place to where the value was returned

    def tasks(self) -> list[JsonObject]:
        chains = self.correlation.chains
        pauses = think_times(self.exchanges, chains, self.options.think)
        for chain in chains:
            visit_values(self.drafts[chain[0]], lambda value, place, at=chain[0]: self.replace(value, place, at))  # type: ignore[misc]
        made = []
        for index, chain in enumerate(chains):
            head, last = self.exchanges[chain[0]], self.exchanges[chain[-1]]
            step = dict(self.drafts[chain[0]])
            if last.location:
                step["allow_redirects"] = False
            if assertions := status_assertions(last.status):
                step["assertions"] = assertions
            if extracts := self.extracts(index):
                step["extract"] = extracts
            if index in pauses:
                step["think_time"] = pauses[index]
            step = swept(step, self.lifter.placeholders)
            trouble = _trouble(step)
            if trouble:
                self.report.left_out.append(LeftOut(head.index, f"{head.method} {short_url(head.url)}", f"can't be written: {trouble}"))
                continue
            self.report.followed += len(chain) - 1
            made.append({key: step[key] for key in ORDER if key in step})
        self.describe()
        return made

    def replace(self, value: str, place: Place, position: int) -> str | None:
        """What stands for this value in the step at `position`: what a response returned, a secret, or None: itself."""
        spot = (position, str(place))
        tie = self.correlation.tie_for(value, position, place)
        if tie is not None:
            self.tied.setdefault(value, {})[spot] = None
            if place.kind == "path":
                self.drafts[position]["name"] = with_id(self.drafts[position]["name"], value)
            return f"${{var.{tie.variable}}}"
        if self.options.lift and place.kind not in ("url", "target") and (place.is_secret or _is_token(value, place)):
            placeholder = self.lifter.lift(value, place)
            if placeholder is not None:
                self.lifted.setdefault(placeholder, {})[spot] = None
                self.note_loose(value, place, position, is_lifted=True)
                return placeholder
        self.note_loose(value, place, position)
        return None

    def note_loose(self, value: str, place: Place, position: int, *, is_lifted: bool = False) -> None:
        """Report a value that looks dynamic and is not tied; a secret only if a response returned it."""
        if place.kind in ("url", "target", "referer") or Use(position, place) not in self.uses.get(value, ()):
            return
        source = self.correlation.loose.get(value)
        if source is not None or (not is_lifted and is_strong(value)):
            self.loose.setdefault((position, str(place)), source)

    def extracts(self, index: int) -> list[dict[str, str]]:
        """What the step with this index takes from its response."""
        ties = self.correlation.ties.items()
        return [
            {"var": tie.variable, **(tie.found.extract or {})}
            for value, tie in ties
            if value in self.tied and self.correlation.steps[tie.found.position] == index
        ]

    def describe(self) -> None:
        """Last, because names change while values are tied. What several steps of one name do is said once."""
        for value, spots in self.tied.items():
            tie = self.correlation.ties[value]
            self.report.correlated.append(Correlated(tie.variable, self.spoken(tie.found.position, tie.found), self.all_spoken(spots)))
        loose = {Loose(self.spoken(*spot), self.spoken(found.position, found) if found else ""): None for spot, found in self.loose.items()}
        self.report.not_correlated = list(loose)
        self.report.lifted = [Lifted(placeholder, self.all_spoken(spots)) for placeholder, spots in self.lifted.items()]

    def spoken(self, position: int, place: object) -> str:
        return f"{self.drafts[position]['name']}: {place}"

    def all_spoken(self, spots: Iterable[_Spot]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.spoken(*spot) for spot in spots))


def _is_token(value: str, place: Place) -> bool:
    return place.kind != "referer" and looks_like_secret(value, place.name)


def _trouble(step: JsonObject) -> str:
    """Why the script could not hold this step; "" if it can, which is nearly always."""
    faults = json_faults(step)
    if not faults:
        try:
            HttpStep.model_validate(step)
        except ValidationError as error:
            faults = faults_of(error)
    return f"{'.'.join(map(str, faults[0].loc))[:60]} {faults[0].message}" if faults else ""
