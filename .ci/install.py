"""Makes the virtual environment that `make demo` runs in: pip fetches the packages while Rust builds the core beside it.

    python .ci/install.py FOLDER

The core is built for a quick build here, not for speed (no link-time optimisation): `make bench` builds it as `pip install` does. Packages
are not compiled to .pyc at the install; Python does that for the few modules that a run imports. Where one of the two fails, the other
is ended, what failed is printed, and the exit code is 1.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
QUICK = {"CARGO_PROFILE_RELEASE_LTO": "off", "CARGO_PROFILE_RELEASE_CODEGEN_UNITS": "16"}
SAY_S = 10.0  # between two lines of progress
LAST_LINES = 40  # of what failed


def main(folder: Path) -> int:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    print(f"Making {folder.name}: pip fetches some 140 packages while Rust builds the core beside it.", flush=True)
    print("That takes one to three minutes, once; the next `make demo` starts at once.", flush=True)
    began = time.monotonic()
    venv.create(folder, with_pip=True, symlinks=True)
    wanted = folder / "wanted.txt"
    wanted.write_text("\n".join(project["dependencies"]) + "\n", encoding="utf-8")
    install = [str(folder / "bin" / "pip"), "install", "--no-compile", "--progress-bar", "off", "--constraint", "constraints.txt"]
    steps = {
        "packages": [*install, "--prefer-binary", "--requirement", str(wanted)],
        "core": [*install, "--no-deps", "--editable", "."],
    }
    logs = {name: folder / f"{name}.log" for name in steps}
    with contextlib.ExitStack() as stack:
        running = {}
        for name, command in steps.items():
            log = stack.enter_context(logs[name].open("wb"))
            running[name] = subprocess.Popen(
                command, cwd=ROOT, env={**os.environ, **QUICK}, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
            stack.callback(_end, running[name])
        said = began
        while running:
            time.sleep(0.2)
            for name, process in list(running.items()):
                if process.poll() is None:
                    continue
                del running[name]
                if process.returncode:
                    lines = logs[name].read_text(encoding="utf-8", errors="replace").splitlines()
                    print("\n".join([f"{' '.join(steps[name])} failed:", *lines[-LAST_LINES:]]), file=sys.stderr)
                    return 1
                print(f"  {time.monotonic() - began:3.0f} s  {name}: done", flush=True)
            if running and time.monotonic() - said >= SAY_S:
                said = time.monotonic()
                print(f"  {said - began:3.0f} s  {'; '.join(f'{name}: {_doing(name, logs[name])}' for name in running)}", flush=True)
    return 0


def _doing(name: str, log: Path) -> str:
    if name == "core":
        return "building (without Rust: left out)"
    text = log.read_text(encoding="utf-8", errors="replace")
    if "Installing collected packages" in text:
        return "unpacking"
    return f"{len(re.findall('^Collecting ', text, re.MULTILINE))} fetched"


def _end(process: subprocess.Popen[bytes]) -> None:
    """With all that it started: pip leaves a compiler behind that knows nothing of the end."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
    process.wait()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).absolute()))
