"""What the scripts of a session may reach. Who runs their own script may reach everything; a client of the control plane may not.

Asked by `load_script` for every script, so also for nested ones and for files of actions: whatever runs in the session has
passed it. It looks at what is written, so under a root a path can't hold a placeholder.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from loadflow.engine.script.arguments import FILES, NESTED, signature_of
from loadflow.engine.script.command import Command
from loadflow.engine.script.document import Script
from loadflow.engine.script.mistakes import place_of, shorten
from loadflow.engine.script.placeholders import SECRET, Token, has_placeholder, scan, texts
from loadflow.engine.script.visit import actions_of, steps_of
from loadflow.errors import CommandError, Mistake

__all__ = ["REPORT_NAMES", "Guard", "is_loopback", "is_path_argument"]

# names of files that are written below the session's report folder, by argument
FILE_INSTEAD = "give a file of rows inside of the folder"
REPORT_NAMES = frozenset({"html_name", "json_file_name", "xml_file_name", "csv_name", "report_name", "base_name"})
# `har` is a path, or the recording itself; `baseline`, `current`, `run` and `suspect` are a run's folder, or a run's name
_PATHS = frozenset({"certfile", "keyfile", "cert", "client_cert", "har", "baseline", "current", "run", "suspect", FILES})
_PATH_ENDINGS = ("path", "paths", "file", "files", "dir", "folder")
_STEP_PATHS = ("cert", "client_cert", "verify", "proto", "import_paths")
_STEP_CODE = ("stub_path", "request_path")


def is_path_argument(name: str) -> bool:
    """Whether an argument of this name holds a path, or a list of them, relative to the working directory."""
    return name in _PATHS or name.rsplit("_", 1)[-1] in _PATH_ENDINGS


@dataclass(frozen=True, slots=True)
class Guard:
    """The limits of one session.

    `root`: the folder that all files are read and written in; None: any. `env`: the variables that `${env.NAME}` may name;
    None: all. `denied`: commands that may not be called. `most_users` and `most_threads` (of all processes) are what one load
    may ask for; None: any number.
    """

    root: Path | None = None
    env: frozenset[str] | None = None
    denied: frozenset[str] = frozenset()
    most_users: int | None = None
    most_threads: int | None = None

    def environment(self, env: Mapping[str, str]) -> Mapping[str, str]:
        """What scripts may see of `env`."""
        return env if self.env is None else {name: value for name, value in env.items() if name in self.env}

    def allows_command(self, name: str) -> bool:
        return name not in self.denied

    def mistakes(self, script: Script, commands: Mapping[str, Command], report_dir: Path) -> list[Mistake]:
        """Everything in `script` that is out of reach, in the order of the document."""
        if self == Guard():
            return []
        walk = _Walk(self, commands, report_dir)
        for action in script.actions:
            walk.action(action.name, action.arguments, action.place)
        return walk.found

    def refuse_load(self, users: int, threads: int) -> None:
        """Raises CommandError for a load that is larger than this session may make."""
        mistakes = [
            Mistake(what, f"{asked:,} are more than the {most:,} that this server lets one load have", "ask for fewer")
            for what, asked, most in (("users", users, self.most_users), ("processes × threads", threads, self.most_threads))
            if most is not None and asked > most
        ]
        if mistakes:
            raise CommandError(mistakes)

    def path_trouble(self, path: str, base: Path) -> tuple[str, str]:
        """Why the file at `path`, relative to `base`, can't be used, and the way out; two empty texts when it can."""
        if self.root is None:
            return "", ""
        if has_placeholder(path):
            return "a path can't hold a placeholder here", "write the path itself: it is checked before anything runs"
        root = self.root.resolve()
        try:
            inside = (base / path).resolve().is_relative_to(root)
        except (OSError, RuntimeError, ValueError):  # a loop of links, a NUL
            return f"{shorten(path)} is not a path that can be followed", ""
        return (
            ("", "")
            if inside
            else (f"{shorten(path)} is outside of the folder that this server opens to scripts", "use a file inside of it")
        )


@dataclass(slots=True)
class _Walk:
    guard: Guard
    commands: Mapping[str, Command]
    report_dir: Path
    found: list[Mistake]

    def __init__(self, guard: Guard, commands: Mapping[str, Command], report_dir: Path) -> None:
        self.guard, self.commands, self.report_dir, self.found = guard, commands, report_dir, []

    def action(self, name: str, payload: object, place: str) -> None:
        if not self.guard.allows_command(name):
            self.found.append(Mistake(place, f"{name} is not open to scripts here", "who runs the server can allow it"))
            return
        if name == "LD_start_test":
            self.load({argument: value for argument, value, _ in self.arguments(name, payload, place)}, place)
        for argument, value, at in self.arguments(name, payload, place):
            if argument == NESTED:
                for action in actions_of(value, at):
                    self.action(action.name, action.payload, action.place)
                continue
            if argument == "test":  # a load that the command makes
                self.action("LD_start_test", value, at)
                continue
            self.texts(value, at)
            if argument in REPORT_NAMES:
                self.path(value, at, self.report_dir)
            elif argument in ("on_start", "tasks", "on_stop"):
                self.steps(value, at)
            elif argument == "populations":  # each is a load of its own
                for index, population in enumerate(value if isinstance(value, list) else ()):
                    self.action("LD_start_test", population, place_of(at, (index,)))
            elif argument in ("sources", "csv_sources"):
                self.entries(value, at, "file_path")
                for index, entry in enumerate(value if isinstance(value, list) else ()):
                    if isinstance(entry, dict):
                        self.database_url(entry.get("database"), place_of(at, (index, "database")), FILE_INSTEAD)
            elif argument == "database":  # of one source
                self.database_url(value, at, FILE_INSTEAD)
            elif argument == "web_ui_dict":
                self.web_ui(value, at)
            elif argument == "master_bind_host":
                self.master(value, at)
            elif argument == "addr":
                self.listens(value, at, "an exporter")
            elif argument == "url" and not (name in self.commands and argument in self.commands[name].servers):
                self.database_url(value, at)
            elif is_path_argument(argument):
                self.paths(value, at)

    def load(self, arguments: Mapping[str, object], place: str) -> None:
        """What is written as numbers; the rest is seen when the load is about to start."""
        processes, threads, users = (_count(arguments.get(key)) for key in ("processes", "threads", "user_count"))
        try:
            self.guard.refuse_load(users, processes * threads)
        except CommandError as error:
            self.found += [Mistake(place, f"{one.place}: {one.message}", one.hint) for one in error.mistakes]

    def arguments(self, name: str, payload: object, place: str) -> Iterator[tuple[str, object, str]]:
        """(argument, value, place), whichever way they were written."""
        if isinstance(payload, dict):
            yield from ((key, value, place_of(place, (key,))) for key, value in payload.items())
        elif isinstance(payload, list) and name in self.commands:
            names = signature_of(self.commands[name]).positional
            for index, value in enumerate(payload):  # some take more than they name
                yield names[index] if index < len(names) else "", value, place_of(place, ("arguments", index))

    def texts(self, value: object, place: str) -> None:
        """Every `${env.NAME}` and `${secret.NAME}` that may not be read."""
        if self.guard.env is None:
            return
        known = {mistake.place for mistake in self.found}
        for loc, text, _ in texts(value):
            for token in scan(text):
                what = self.closed(token)
                if what and (at := place_of(place, loc)) not in known:
                    self.found.append(Mistake(at, f"{what} is not open to scripts here", "who runs the server can allow it"))

    def closed(self, token: Token) -> str:
        """What `token` asks for, when clients may not have it; "" when they may."""
        name = token.parts[0] if token.parts else ""
        if token.kind == "var" and name.startswith(SECRET):
            return f"the secret {shorten(name.removeprefix(SECRET))}"
        return f"the environment variable {shorten(name)}" if token.kind == "env" and name not in (self.guard.env or ()) else ""

    def path(self, value: object, place: str, base: Path) -> None:
        if isinstance(value, str):
            message, hint = self.guard.path_trouble(value, base)
            if message:
                self.found.append(Mistake(place, message, hint))

    def paths(self, value: object, place: str) -> None:
        """A path or a list of paths."""
        for index, one in enumerate(value if isinstance(value, list) else ()):
            self.path(one, place_of(place, (index,)), Path.cwd())
        self.path(value, place, Path.cwd())

    def entries(self, value: object, place: str, key: str) -> None:
        """The path under `key` of every object in a list."""
        for index, entry in enumerate(value if isinstance(value, list) else ()):
            if isinstance(entry, dict):
                self.path(entry.get(key), place_of(place, (index, key)), Path.cwd())

    def steps(self, tasks: object, place: str) -> None:
        for loc, step in steps_of(tasks):
            at = place_of(place, loc)
            if step.get("call") is not None:  # whatever the root: no script that comes over the network makes this machine run Python
                hint = "give the steps that `loadflow script` prints"
                self.found.append(Mistake(place_of(at, ("call",)), "functions of Python are not open to scripts here", hint))
            for key in _STEP_PATHS:
                # `verify` is true, false, their texts, or the path of a certificate
                if key != "verify" or str(step.get(key)).lower() not in ("true", "false"):
                    self.paths(step.get(key), place_of(at, (key,)))
            for key in _STEP_CODE:
                self.code(step.get(key), place_of(at, (key,)))
            files = step.get("files")
            for field, upload in files.items() if isinstance(files, dict) else enumerate(files) if isinstance(files, list) else ():
                where = place_of(at, ("files", field))
                self.path(upload.get("path") if isinstance(upload, dict) else upload, where, Path.cwd())

    def code(self, value: object, place: str) -> None:
        """Importing a module runs it, so under a root a step names none."""
        if self.guard.root is not None and value is not None:
            self.found.append(
                Mistake(place, "generated code is not open to scripts here", "use proto, a file inside of the folder, or reflection")
            )

    def database_url(self, value: object, place: str, hint: str = "use database_path, a file inside of the folder") -> None:
        """A URL may name any file or server, so under a root there is none."""
        if self.guard.root is not None and value is not None:
            message = "a database URL is not open to scripts here"
            self.found.append(Mistake(place, message, hint))

    def web_ui(self, value: object, place: str) -> None:
        self.listens(value.get("host") if isinstance(value, dict) else None, place_of(place, ("host",)), "the web UI")

    def listens(self, host: object, place: str, what: str) -> None:
        """None: the default, which is this machine."""
        if self.guard.root is not None and host is not None and not is_loopback(str(host)):
            self.found.append(Mistake(place, f"{what} has no password, so here it listens on this machine only", "use 127.0.0.1"))

    def master(self, value: object, place: str) -> None:
        """Where the token is the host's own, a script must not open the master to the network with it."""
        if self.guard.root is not None and value is not None and not is_loopback(str(value)):
            self.found.append(Mistake(place, "a master that scripts start here listens on this machine only", "use 127.0.0.1"))


def _count(value: object) -> int:
    return value if isinstance(value, int) else 1


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens on `host`: a name or an address as it is written, not looked up."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
