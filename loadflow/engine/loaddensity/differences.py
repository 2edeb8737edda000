# ruff: noqa: E501  one row of the table a line
"""What differs between LoadDensity and loadflow, as one table: `loadflow check`, `loadflow migrate` and docs/loaddensity.md follow it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["DIFFERENCES", "Difference", "State", "markdown"]


class State(StrEnum):
    """How the author of a script learns of a difference."""

    SAME = "same"
    WARNED = "warned"
    REFUSED = "refused"
    SAID = "said in the run"
    PROMISED = "as documented"
    SMALL = "small"


@dataclass(frozen=True, slots=True)
class Difference:
    """A migration names its changes by `key`. `way_out` is what the author can write, or what `loadflow migrate` writes."""

    key: str
    section: str
    theirs: str
    ours: str
    state: State
    way_out: str = ""


_WARNED, _REFUSED, _SAID, _PROMISED, _SMALL, _SAME = State.WARNED, State.REFUSED, State.SAID, State.PROMISED, State.SMALL, State.SAME

# fmt: off
_ROWS: tuple[tuple[str, str, str, str, State, str], ...] = (
    # -- scripts and actions
    ("script-keys", "Scripts and actions", "other keys beside `load_density` are ignored", "only `$schema` and `description` are allowed there", _REFUSED, "migrate removes them"),
    ("unknown-command", "Scripts and actions", "an unknown command becomes a text in the result, and the next action runs", "a mistake before anything runs", _REFUSED, "the message suggests the nearest name command"),
    ("failed-action", "Scripts and actions", "after a failed action the next action runs", "the script stops, and the run fails", _SAID, '`{"on_error": "continue"}` as third element of the action'),
    ("same-action-twice", "Scripts and actions", "of two identical actions, the second result replaces the first", "both results are kept", _SAID, ""),
    ("text-arguments", "Scripts and actions", "a text in place of the arguments is unpacked letter by letter", "arguments are an object, a list or null", _REFUSED, "write a list"),
    ("files-share", "Scripts and actions", "files of `LD_execute_files` see each other's variables", "the same", _SAME, ""),
    ("builtins", "Scripts and actions", "22 functions of Python may be called", "the same, and `range`", _SAME, ""),
    ("packages", "Scripts and actions", "any package is loaded, with a DeprecationWarning", "only packages that the host program allows (`allow_packages`)", _REFUSED, "`loadflow.allow_packages(...)` in the program that runs the script"),
    ("exit-code", "Scripts and actions", "the exit code is 0, even if every request failed", "it is 1 if more hits failed than the script allows", _SAID, "`max_failure_rate`, or `thresholds`"),
    # -- the load test
    ("no-wait", "The load test", "each user always waits 0.1 to 0.2 s after each pass", "it waits `wait_time`; without `wait_time` there is no pause, and 60 to 560 times more load", _WARNED, 'migrate adds `"wait_time": {"min": 0.1, "max": 0.2}`'),
    ("test-keys", "The load test", "unknown arguments are ignored", "a mistake", _REFUSED, "migrate removes them"),
    ("host", "The load test", "the HTTP users ignore `host`: a relative URL goes to http://localhost", "a relative URL is relative to `host`", _WARNED, 'migrate writes `"host": "http://localhost"`'),
    ("shape-cut", "The load test", "a load shape ends after 60 s unless `test_time` is longer", "only a `test_time` in the script ends a shape", _WARNED, 'migrate adds `"test_time": 60`'),
    ("master-address", "The load test", "a master listens on all addresses", "it listens on this machine only, unless there is a token", _WARNED, 'migrate writes `"master_bind_host": "*"`, which needs a token: docs/distributed.md'),
    ("variables-stay", "The load test", "later tests can use the `variables` and `csv_sources` of a test", "they belong to their own test", _REFUSED, "migrate repeats those that a later test uses"),
    ("wrong-kind", "The load test", "`variables` or sources of the wrong kind are ignored", "a mistake", _REFUSED, "migrate removes them"),
    ("asyncio", "The load test", '`"engine": "asyncio"` sends with httpx', "the Rust core sends if it can; `engine` belongs in `user_detail_dict`", _REFUSED, "migrate removes it"),
    ("db-sources", "The load test", "rows come from SQL databases: `db_sources`, `${db.…}`", "a `csv_sources` entry with `database`, `${csv.…}`", _REFUSED, "write it as an entry of `csv_sources`"),
    ("empty-tasks", "The load test", "without tasks the users do nothing", "a mistake", _REFUSED, "write a step"),
    ("test-end", "The load test", "requests in flight at the end leave no record", "they are drained and recorded", _PROMISED, "`drain_time`"),
    ("test-result", "The load test", "`LD_start_test` returns its input", "it returns the summary", _PROMISED, ""),
    ("isolation", "The load test", "all runs in one process share variables, records and throttles", "each script and each user has its own", _PROMISED, ""),
    # -- scenarios
    ("mode", "Scenarios", "an unknown `mode` means sequence", "a mistake", _REFUSED, "migrate writes `sequence`"),
    ("dropped-steps", "Scenarios", "a step that is not an object, or has no known method or no URL, is silently skipped", "a mistake", _REFUSED, "migrate removes it"),
    ("weight", "Scenarios", 'the weights `"3"`, 2.7 and -1 are read as 3, 2 and 0', "a weight must be a whole number of 0 or more", _REFUSED, "migrate writes the number"),
    ("condition-never", "Scenarios", "in a condition, a placeholder is text and never equals a number, boolean or null", "text equals a number or boolean that is written in the same way", _WARNED, "migrate writes `true` or `false`; to compare with a text, write a text"),
    ("condition-form", "Scenarios", "a condition of another form is false; of several operators only the first counts", "a mistake", _REFUSED, "migrate writes a condition with the old meaning"),
    ("unset", "Scenarios", "a placeholder without a value stays in the text, also when it is sent", "in a condition it is null; elsewhere it is a mistake or a failed hit", _SAID, "give it a value"),
    ("think-time", "Scenarios", "a text or a placeholder as `think_time` means 0; `max` below `min` means `min`", "a placeholder is filled in; other texts are mistakes", _WARNED, "migrate removes it, or writes the number"),
    ("throttle", "Scenarios", "`throttle` lets 24 times its rate through", "the rate is a limit over all users and processes", _PROMISED, ""),
    ("retry", "Scenarios", "`retry` of an HTTP step never tries again", "it tries again, and each attempt is a hit of its own", _PROMISED, "for a single attempt, remove `retry`"),
    ("other-users", "Scenarios", "`run_if`, `skip_if`, `weight`, `mode`, `think_time`, `throttle`, `retry`, `assertions`, `extract` are ignored unless the user is an HTTP user", "they work for every user", _WARNED, "migrate removes them"),
    # -- HTTP steps
    ("default-name", "HTTP steps", "the default name of a step is the whole URL (`fast_http_user`), or path, query and params (`http_user`), with placeholders filled in", "it is path, query and params as written, with placeholders not filled in", _WARNED, "migrate writes `name`; a part that changes from hit to hit becomes a `{word}` in it"),
    ("tls", "HTTP steps", "`fast_http_user` never verifies a certificate", "certificates are verified", _WARNED, 'migrate adds `"verify": false`'),
    ("fast-ignores", "HTTP steps", "`fast_http_user` ignores `cookies`, `timeout`, `verify` and `cert`", "they work for both HTTP users", _PROMISED, "remove what you don't want"),
    ("timeout", "HTTP steps", "`http_user` waits for an answer without a limit", "it waits 60 s if there is no `timeout`", _SAID, "`timeout`"),
    ("files", "HTTP steps", "a text in `files` is the content, a list is `[filename, content, type]`", "a text in `files` is the path of a file", _WARNED, 'migrate writes `{"content": …, "filename": …}`'),
    ("json-types", "HTTP steps", "a placeholder in `json` or in the `value` of an assertion is text", "a string that is exactly one placeholder keeps the type of its value", _WARNED, "migrate makes it text: it writes variables as text, and adds the empty `${var.as_text}` after other placeholders"),
    ("spelling", "HTTP steps", "inside a longer string, true, lists and objects are written in Python's notation (`True`)", "they are written as JSON (`true`)", _WARNED, "migrate writes the variable as text"),
    ("step-keys", "HTTP steps", "unknown keys are ignored", "a mistake", _REFUSED, "migrate removes them"),
    ("two-urls", "HTTP steps", "if a step has `request_url` and `url`, `request_url` counts", "a mistake", _REFUSED, "migrate removes `url`"),
    ("auth", "HTTP steps", "types of `auth` other than basic and bearer are ignored", "a mistake", _REFUSED, "migrate removes it"),
    ("assertion", "HTTP steps", "an assertion of an unknown type is skipped", "a mistake", _REFUSED, "migrate removes it"),
    ("status-text", "HTTP steps", "the status in an assertion may be text", "it must be a number or a placeholder", _REFUSED, "migrate writes the number"),
    ("extract", "HTTP steps", "an entry of `extract` without `var`, or with an unknown `from`, does nothing", "a mistake", _REFUSED, "migrate removes it"),
    ("checked-is-passed", "HTTP steps", "if its assertions and extracts succeed, a hit passes with any status", "a status of 400 or more fails, unless a `status_code` assertion accepts it", _SAID, "a `status_code` assertion"),
    ("nothing-extracted", "HTTP steps", "if an extract finds nothing, the variable keeps its old value", "the hit fails, and the variable has no value", _SAID, ""),
    ("transport", "HTTP steps", "a refused connection is a success if an assertion passes", "it always fails", _PROMISED, ""),
    ("null-value", "HTTP steps", "a `json_path` assertion with the value null passes if there is nothing at the path, or the body is not JSON", "there must be a null at the path", _SAID, ""),
    # -- other users
    ("other-names", "Other users", "default names are the URL, `method:topic`, `protocol:target`, `stub.method`", "the same", _SAME, ""),
    ("websocket-closed", "Other users", "a connection that the peer closed stays closed", "the next step connects again", _PROMISED, ""),
    ("mqtt-acks", "Other users", "a refused or unacknowledged packet is a success", "it fails", _PROMISED, ""),
    ("grpc-users", "Other users", "gRPC users wait for each other", "they don't", _PROMISED, ""),
    ("socket-end", "Other users", "a peer that closes before `expect_bytes` bytes is a success", "it fails", _SAID, ""),
    ("other-types", "Other users", "35 more user types, and commands that its documentation does not mention", "HTTP, WebSocket, gRPC, MQTT, TCP and UDP; types of your own by `add_user_type`", _REFUSED, "docs/protocols.md"),
    # -- placeholders and data
    ("placeholders", "Placeholders and data", "an unknown placeholder is sent unchanged", "a mistake before the run", _REFUSED, "the message suggests the nearest name"),
    ("now", "Placeholders and data", "`${now()}` is local time without a zone", "UTC, with its zone", _SMALL, ""),
    ("rows-used-up", "Placeholders and data", 'with `"cycle": false`, the placeholder itself is sent after the last row', "the step fails once and its user stops", _SAID, "more rows, or `cycle`"),
    # -- after the load
    ("sla-words", "After the load", "rules have `type`, `op` and `value`", "the same; `metric`, `operator` and expressions are also accepted", _SAME, ""),
    ("sla-empty", "After the load", "rules on p95 and failure_rate pass for an empty run", "an empty run is inconclusive", _SAID, ""),
    ("summary-names", "After the load", "`per_name` counts successes only", "it counts all hits, and lists successes and failures separately", _PROMISED, ""),
    ("reports", "After the load", "reports have the text and headers of every response", "they have the times and outcome of every hit, and samples of failures: docs/reports.md", _PROMISED, ""),
    ("store", "After the load", "the database has tables `load_density_*`", "it has other tables; LoadDensity's can be read", _PROMISED, "docs/store.md"),
    ("har", "After the load", "scripts made from HAR files keep secrets and assert every status", "secrets become variables, and values are correlated: docs/recording.md", _PROMISED, '`"secrets": "keep"`'),
    ("influx-points", "After the load", "InfluxDB gets a point for each request", "it gets a point for each name and second: docs/exporters.md", _PROMISED, "sum `hits` instead of counting points"),
    ("budget", "After the load", "a failure budget in a script stops nothing", "it ends the load", _PROMISED, "`LD_uninstall_failure_budget`"),
    ("conditioner", "After the load", "the network conditioner's lost requests are not recorded, and its added latency is not measured", "both are recorded, and retries apply to them", _PROMISED, ""),
    ("mcp", "After the load", "an MCP server, a language server, a GUI, callbacks", "not included: `loadflow serve`, `loadflow schema`, Prefect's pages and automations", _REFUSED, ""),
    ("control", "After the load", "the control socket answers in Python's notation", "it answers in JSON: docs/control.md", _PROMISED, ""),
)
# fmt: on
DIFFERENCES = {row[0]: Difference(*row) for row in _ROWS}

_INTRODUCTION = """\
# Coming from LoadDensity

<!-- Made by `loadflow migrate --table`; a test compares them. Edit loadflow/engine/loaddensity/differences.py. -->

Scripts of LoadDensity run here. If a script would mean something else here, `loadflow check` warns, and

    loadflow migrate old.json -o new.json

writes a script that has the old meaning, and lists each change with its place. Migrating a script a second time changes nothing.

Both also look at the files that the script runs with `LD_execute_files`, and at the files that those run. `check` gives the file and the place
in it. `migrate` writes only the named script, and says which of the files need changes too.

`check` gives these warnings only if a script looks like LoadDensity's, that is, if it uses no word that LoadDensity does not have (`wait_time`,
`thresholds`, `rate`, a policy, `not`, `$schema`, …). A script with such a word was written for loadflow. `--from loaddensity` always gives the
warnings, `--from loadflow` never. A warning leaves the exit code at 0; with `--strict` it counts as a mistake, and the exit code is 2.

| | means |
|---|---|
| same | no difference |
| warned | the script would mean something else: `check` warns, `migrate` writes the old meaning |
| refused | LoadDensity silently ignores it; here it is a mistake, with its place and a way out |
| said in the run | the difference appears only in a run, as a failed hit, a warning or the verdict |
| as documented | loadflow does what LoadDensity's documentation promises and its code does not; `migrate` changes nothing |
| small | only this page mentions it |

Old names in Python (`from je_load_density import build_summary`) raise an error here that names the new name.

| LoadDensity's command line | here |
|---|---|
| `loaddensity run FILE`, `-e FILE` | `loadflow run FILE` |
| `loaddensity run-dir DIR`, `-d DIR` | `loadflow run-dir DIR` |
| `loaddensity run-str JSON`, `--execute_str JSON` | `loadflow run-str JSON` |
| `loaddensity init PATH`, `-c PATH` | `loadflow init PATH` |
| `loaddensity serve` | `loadflow serve --legacy` |
| `loaddensity bench URL` | a script with one step, and `loadflow run` |
"""


def markdown(rows: Iterable[Difference] = DIFFERENCES.values()) -> str:
    """docs/loaddensity.md."""
    lines = [_INTRODUCTION]
    section = ""
    for row in rows:
        if row.section != section:
            section = row.section
            lines += ["", f"## {section}", "", "| LoadDensity | loadflow | | way out |", "|---|---|---|---|"]
        cells = (row.theirs, row.ours, row.state.value, row.way_out or "–")
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines).replace("\n\n\n", "\n\n") + "\n"
