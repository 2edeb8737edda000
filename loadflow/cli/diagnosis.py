"""The checks behind `loadflow doctor`; each gives findings, and none changes anything."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from loadflow.engine.base.counted import counted
from loadflow.engine.base.extras import EXTRAS, is_there, way_to_install
from loadflow.engine.base.json_reading import read_json

__all__ = ["Finding", "diagnose"]

State = Literal["ok", "note", "broken"]

NEEDED = (
    "prefect",
    "fastapi",
    "locust",
    "gevent",
    "geventhttpclient",
    "requests",
    "numpy",
    "pydantic",
    "psutil",
    "jinja2",
    "faker",
    "rich",
)
FASTAPI_LIMIT = (0, 151)  # from 0.152 on Prefect 3.8.8's server refuses deployments
FILES_FOR_LOAD = 4096  # one socket per user, and some to spare
PORTS_FOR_LOAD = 10_000
SERVERS = ("nginx", "mosquitto", "postgres", "prometheus", "chromium")
MORE_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/sbin")  # where servers stand and a user's PATH often does not look


@dataclass(frozen=True, slots=True)
class Finding:
    """`note`: works, but may limit. `broken`: loadflow can't do its work; the text ends with the way out."""

    name: str
    state: State
    text: str


def diagnose() -> Iterator[Finding]:
    """Everything, in the order it is read."""
    yield versions()
    yield from packages()
    yield extras()
    yield locust_engine()
    yield native_engine()
    yield open_files()
    yield loopback()
    yield local_ports()
    yield calibration()
    yield runs_folder()
    api = prefect_api()
    yield api
    if api.state == "ok":
        yield from prefect_leases()
    yield from servers()


def versions() -> Finding:
    version = _version("loadflow") or "not installed as a package"
    return Finding(
        "loadflow", "ok", f"{version}, Python {platform.python_version()}, {platform.platform()}, {counted(os.cpu_count() or 1, 'core')}"
    )


def packages() -> Iterator[Finding]:
    found = {name: _version(name) for name in NEEDED}
    missing = [name for name, version in found.items() if version is None]
    yield Finding("packages", "ok", ", ".join(f"{name} {version}" for name, version in found.items() if version))
    if missing:
        yield Finding("packages", "broken", f"not installed: {', '.join(missing)}; install loadflow again with pip")
    fastapi = found["fastapi"] or "0"
    if tuple(int(part) for part in fastapi.split(".")[:2] if part.isdigit()) > FASTAPI_LIMIT:
        yield Finding("fastapi", "broken", f"{fastapi} breaks Prefect's server; pip install 'fastapi<0.151'")


def extras() -> Finding:
    """What only some scripts need; a script that needs a missing one is refused before anything is sent, with the same command."""
    there = {name: all(is_there(module) for module in extra.modules) for name, extra in EXTRAS.items()}
    texts = [
        f"{name} installed" if there[name] else f"{name} not installed ({extra.use}: {way_to_install(extra.modules[0])})"
        for name, extra in EXTRAS.items()
    ]
    return Finding("extras", "ok", "; ".join(texts))


def locust_engine() -> Finding:
    # in a process of its own: gevent must never be imported beside Prefect
    code = "import gevent.monkey; gevent.monkey.patch_all(); import locust"
    try:
        done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding("engine locust", "broken", f"can't be started ({error}); install loadflow again")
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return Finding("engine locust", "broken", f"can't be imported ({last}); install loadflow again with pip")
    return Finding("engine locust", "ok", f"locust {_version('locust')} on gevent {_version('gevent')}")


def native_engine() -> Finding:
    try:
        from loadflow import _native
    except ImportError as error:
        why = "not built" if importlib.util.find_spec("loadflow._native") is None else f"can't be loaded ({error})"
        way_out = "to have it, install Rust (rustup.rs), then loadflow again with LOADFLOW_NATIVE=1"
        return Finding("engine native", "note", f"{why}, so every test runs on locust; {way_out}")
    return Finding("engine native", "ok", f"loadflow._native {_native.__version__}, built in Rust")


def open_files() -> Finding:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    text = f"{soft:,} (at most {hard:,})"
    if soft < FILES_FOR_LOAD:
        return Finding(
            "open files",
            "note",
            f"{text}: about {counted(max(soft - 100, 0), 'user')} at a time; raise it with `ulimit -n {min(hard, 65_536)}`",
        )
    return Finding("open files", "ok", text)


def loopback() -> Finding:
    try:
        with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname(), timeout=5):
            pass
    except OSError as error:
        return Finding("loopback", "broken", f"no connection from 127.0.0.1 to itself ({error}); the embedded Prefect server needs one")
    return Finding("loopback", "ok", "127.0.0.1 listens and connects")


def local_ports() -> Finding:
    try:
        first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split())
    except (OSError, ValueError):
        return Finding("local ports", "note", "their range can't be read on this system")
    text = f"{first}-{last}, {last - first + 1:,} for outgoing connections"
    enough = last - first >= PORTS_FOR_LOAD
    return Finding("local ports", "ok" if enough else "note", text if enough else f"{text}; few for load without keep-alive")


def calibration() -> Finding:
    from loadflow.engine.machine.facts import this_machine, version_of
    from loadflow.engine.machine.kept import calibration_path, read_calibration
    from loadflow.errors import RunError

    try:
        found = read_calibration(calibration_path(os.environ))
    except RunError as error:
        return Finding("calibration", "note", str(error))
    if found is None:
        return Finding("calibration", "note", "none: `loadflow calibrate` measures what this machine can make, so that runs can warn")
    ceilings = ", ".join(f"{name} {one.hits_per_s:,.0f} hits/s" for name, one in found.engines.items())
    text = f"{found.measured_at}: {ceilings}"
    if different := found.differences(this_machine()):
        return Finding("calibration", "note", f"{text}; not used, for {'; '.join(different)}: run `loadflow calibrate` again")
    if (version := version_of("loadflow")) != found.loadflow:
        return Finding("calibration", "note", f"{text}; by loadflow {found.loadflow}, this is {version}: run `loadflow calibrate` again")
    return Finding("calibration", "ok", text)


def runs_folder() -> Finding:
    from loadflow.engine.records.runs_dir import RUNS_DIR_VARIABLE
    from loadflow.engine.session.session import Session

    folder = Session().runs_dir
    nearest = next((one for one in (folder, *folder.absolute().parents) if one.exists()), Path("/"))
    if not os.access(nearest, os.W_OK | os.X_OK) or not nearest.is_dir():
        return Finding("run folders", "broken", f"{folder} can't be written; set {RUNS_DIR_VARIABLE} to a folder that can")
    free_gib = shutil.disk_usage(nearest).free / 2**30
    return Finding("run folders", "ok" if free_gib >= 1 else "note", f"{folder.absolute()}, {free_gib:.1f} GiB free (64 bytes per hit)")


def prefect_api() -> Finding:
    if _version("prefect") is None:
        return Finding("prefect api", "broken", "Prefect is not installed; install loadflow again with pip")
    from prefect.settings import get_current_settings

    settings = get_current_settings()
    url = settings.api.url
    if not url:
        return Finding("prefect api", "ok", f"none configured: each run starts an embedded server, with its database in {settings.home}")
    shown = _without_user(url)
    try:
        with urllib.request.urlopen(f"{url.rstrip('/')}/health", timeout=5) as answer:
            answer.read()
    except (urllib.error.URLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        return Finding(
            "prefect api", "broken", f"{shown} does not answer ({reason}); start it, or unset PREFECT_API_URL for the embedded one"
        )
    return Finding("prefect api", "ok", f"{shown} answers")


def prefect_leases() -> Iterator[Finding]:
    """Whether a restart of the server loses the slots of the runs that go on; nothing for the embedded server, which ends with its run."""
    from prefect.settings import get_current_settings

    url = get_current_settings().api.url
    if not url:
        return
    try:
        with urllib.request.urlopen(f"{url.rstrip('/')}/admin/settings", timeout=5) as answer:
            storage = str(read_json(answer.read())["server"]["concurrency"]["lease_storage"])
    except (urllib.error.URLError, OSError, ValueError, KeyError, TypeError):
        return  # Prefect Cloud, or a server behind a password: it does not say
    if storage.endswith(".memory"):
        way_out = f"start it with PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE={storage.removesuffix('.memory')}.filesystem"
        text = f"kept in the server's memory: its restart leaves the slots of deployments taken and ends their runs; {way_out}"
        yield Finding("prefect leases", "note", text)
    else:
        yield Finding("prefect leases", "ok", f"kept by {storage}")


def servers() -> Iterator[Finding]:
    path = os.pathsep.join([os.environ.get("PATH", ""), *MORE_FOLDERS])
    for name in SERVERS:
        found = shutil.which(name, path=path)
        yield Finding(name, "ok" if found else "note", found or "not found; tests and demos that use it are skipped")


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _without_user(url: str) -> str:
    """The URL without user and password."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
