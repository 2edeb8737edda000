"""Several populations in one LD_start_test: each is a test of its own, made of what all share and what it says itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from loadflow.engine.base.json_value import JsonMapping
from loadflow.engine.script.mistakes import Fault, kind_of, shorten, suggest
from loadflow.engine.script.populations import OWN_KEYS, STEPS
from loadflow.errors import CommandError, Mistake, ScriptError

__all__ = ["population_faults", "refuse_populations", "side_by_side", "tests_of"]

MERGED = ("variables",)  # objects of which a population changes or adds entries


def tests_of(raw: JsonMapping) -> list[tuple[str, dict[str, object]]]:
    """Each population's name, and the arguments of its test.

    >>> tests_of({"user_count": 5, "populations": [{"name": "a", "tasks": [], "user_count": 2}]})
    [('a', {'user_count': 2, 'tasks': []})]
    """
    shared = {key: value for key, value in raw.items() if key != "populations"}
    found = []
    for population in raw["populations"]:
        own = {key: value for key, value in population.items() if key != "name"}
        for key in MERGED:
            if isinstance(own.get(key), Mapping) and isinstance(shared.get(key), Mapping):
                own[key] = {**shared[key], **own[key]}
        found.append((str(population["name"]), {**shared, **own}))
    return found


def side_by_side(documents: Mapping[str, JsonMapping], label: str, source: str) -> dict[str, object]:
    """One script of several, each of one LD_start_test, which is a population under its key. Raises ScriptError for keys that are none."""
    populations, mistakes = [], []
    for name, document in documents.items():
        ((_, test),) = document["load_density"]
        populations.append({"name": name, **{key: value for key, value in test.items() if key in OWN_KEYS}})
        others = [key for key in test if key not in OWN_KEYS and key != "label"]
        mistakes += [Mistake(f"{name}.{key}", "is of a whole test, and side by side they are one", "remove it") for key in others]
    if mistakes:
        raise ScriptError(mistakes, source)
    test = {"label": label, "user_detail_dict": {}, "populations": populations}
    first = next(iter(documents.values()))
    return {**first, "description": f"The scenarios of {source}.", "load_density": [["LD_start_test", test]]}


def refuse_populations(test: Mapping[str, object], what: str) -> None:
    """Raises CommandError where the `test` of a command that makes one load after the other has populations; `what` it makes."""
    if test.get("populations") is not None:
        hint = "write the keys of one of them into test, or make one such command for each"
        raise CommandError([Mistake("test.populations", f"are several loads side by side, and {what} is of one", hint)])


def population_faults(raw: Mapping[str, object], faults_of_test: Callable[[dict[str, object]], list[Fault]]) -> Iterable[Fault]:
    """What is wrong with the populations of a test. `faults_of_test`: with the test that one of them is."""
    populations = raw["populations"]
    if not isinstance(populations, list) or not populations:
        return  # the model says it
    yield from _shared_faults(raw)
    names: set[str] = set()
    shared: list[tuple[int, Fault]] = []  # what is wrong with a key that a population has not written itself
    for index, population in enumerate(populations):
        if not isinstance(population, dict):
            continue  # so does it here
        place = ("populations", index)
        name = population.get("name")
        if not isinstance(name, str) or not name.strip():
            what = (
                "is missing" if name is None else f"must be text, not {kind_of(name)}" if not isinstance(name, str) else "must not be empty"
            )
            yield Fault((*place, "name"), what, "reports and thresholds name a population by it")
        elif name in names:
            yield Fault((*place, "name"), "another population has this name", "give each its own")
        names.add(str(name))
        for key in population:
            if key not in OWN_KEYS and key != "name":
                text = f"{shorten(str(key))} is not a key of a population"
                yield Fault(
                    (*place, key), text, "write it beside populations" if key in _BESIDE else suggest(str(key), ("name", *OWN_KEYS))
                )
        ((_, test),) = tests_of({**raw, "populations": [{"name": "", **population}]})
        known = {key: value for key, value in test.items() if key not in population or key in OWN_KEYS}
        for fault in faults_of_test(known):
            if not fault.loc or fault.loc[0] in population or fault.loc[0] not in raw:
                yield Fault((*place, *fault.loc), fault.message, fault.hint)
            else:
                shared.append((index, fault))
    for index, fault in shared:
        of_all = sum(other == fault for _, other in shared) == len(populations)
        yield fault if of_all else Fault(("populations", index, *fault.loc), fault.message, fault.hint)


_BESIDE = ("label", "revision", "redact", "web_ui_dict", "runner_mode", "workers", "allow_gap")


def _shared_faults(raw: Mapping[str, object]) -> Iterable[Fault]:
    for key in STEPS:
        if raw.get(key) is not None:
            yield Fault((key,), "belongs to a population, and there are several", "write it into them")
    if raw.get("runner_mode", "local") != "local":
        text = f"is {shorten(raw['runner_mode'])}, which makes one load, and each population is a load"
        yield Fault(("runner_mode",), text, "write workers, or make a test of one population")
    if raw.get("web_ui_dict") is not None:
        yield Fault(("web_ui_dict",), "the web UI shows one process only, and each population has its own", "remove one of the two")
