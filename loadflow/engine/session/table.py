"""The table of LD_* commands, from which tasks, help, docs, schema and `loadflow commands` are made.

A command is one file, `commands/ld_NAME.py`, whose `COMMAND` is all that is known of it; the table is the list of these files, so
there is no row to write. An exporter is one folder, whose `command.py` defines two commands, and one row here. What defines a
command is imported when that command is first asked for, and the rooms above this one are only named.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping

from loadflow.engine.base.named import load_named
from loadflow.engine.script.command import Command

__all__ = ["EXPORTERS", "TABLE", "Table", "guarded_commands"]

COMMANDS = "loadflow.engine.commands"  # a folder of a room above: its files are listed, and none is imported
PREFIX = "ld_"

# folder: the commands that start and stop the exporter, which its command.py defines as START and STOP
EXPORTERS = {
    "prometheus": ("LD_start_prometheus_exporter", "LD_stop_prometheus_exporter"),
    "influxdb": ("LD_start_influxdb_sink", "LD_stop_influxdb_sink"),
    "statsd": ("LD_start_statsd_exporter", "LD_stop_statsd_exporter"),
    "otlp": ("LD_start_opentelemetry_exporter", "LD_stop_opentelemetry_exporter"),
}


class Table(Mapping[str, Command]):
    """Commands by name. `rows` says where each is defined, as "package.module:NAME"."""

    def __init__(self, rows: Mapping[str, str]) -> None:
        self.rows = rows
        self._loaded: dict[str, Command] = {}

    def __getitem__(self, name: str) -> Command:
        command = self._loaded.get(name)
        if command is None:
            command = load_named(self.rows[name])
            assert command.name == name, f"{self.rows[name]} defines {command.name}, not {name}"
            self._loaded[name] = command
        return command

    def __contains__(self, name: object) -> bool:
        return name in self.rows

    def __iter__(self) -> Iterator[str]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)


def _rows() -> Iterator[tuple[str, str]]:
    for module in pkgutil.iter_modules(importlib.import_module(COMMANDS).__path__):
        if module.name.startswith(PREFIX):
            yield f"LD_{module.name.removeprefix(PREFIX)}", f"{COMMANDS}.{module.name}:COMMAND"
    for folder, names in EXPORTERS.items():
        for name, which in zip(names, ("START", "STOP"), strict=True):
            yield name, f"loadflow.engine.exporters.{folder}.command:{which}"


TABLE = Table(dict(_rows()))


def guarded_commands() -> frozenset[str]:
    """Those that a client of the control plane may call only where the server allows them by name."""
    return frozenset(name for name, command in TABLE.items() if command.guarded)
