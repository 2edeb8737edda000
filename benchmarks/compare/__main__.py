"""loadflow beside other load generators: the same target, the same request, the same check, in turns.

Each tool with all its processes on core 0, nginx on core 1; what counts is the target's own count. Three measurements:
a closed loop of 50 connections, rates of 5, 500 and 5,000 a second, and a target that freezes for one second.

    python -m benchmarks.compare --install           # once: puts the tools under benchmarks/.peers/, Debian's into the system
    python -m benchmarks.compare [--rounds 5] [--seconds 5] [--peers wrk k6 …] [--quick] [--write]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from benchmarks.compare import measure, picture, tables
from benchmarks.compare.peer import NOT_INSTALLED, PEERS_DIR, Missing, Peer
from benchmarks.compare.peers import ALL
from benchmarks.nginx import Nginx
from benchmarks.results import publish

CONNECTIONS = 50
RATES = (5, 500, 5_000)
# the freeze is met with few connections, where a tool that waits for answers does not ask, and with one for every hit in it
FEW, MANY = 5, 100
T = TypeVar("T")


def main() -> None:
    options = _options()
    if options.install:
        raise SystemExit(install(options.peers))
    began = time.monotonic()
    found = tables.Found({peer: _version(peer) for peer in options.peers})
    with Nginx() as nginx:
        for number in range(options.rounds):
            # rates, three runs each, in every other round; the freeze once, for a second is far above the machine's noise
            run_round(nginx, options, found, number, rates=number % 2 == 0, freeze=number == 0)
    took_s = time.monotonic() - began
    _say(f"took {took_s:.0f} s")
    some = "" if len(options.peers) == len(ALL) else f" --peers {' '.join(map(_key, options.peers))}"
    command = f"python -m benchmarks.compare --rounds {options.rounds} --seconds {options.seconds}{some}"
    if options.write:
        picture.write(found)
    publish("loadflow beside other load generators", command, tables.text(found, CONNECTIONS, FEW, MANY, took_s), write=options.write)


def install(peers: list[Peer]) -> int:
    """1 where one could not be installed; its reason is kept for the tables."""
    failed = 0
    for peer in peers:
        reason = PEERS_DIR / f"{type(peer).__name__}.why-not"
        reason.unlink(missing_ok=True)
        try:
            try:
                version = peer.version()
            except Missing:
                _say(f"{peer.name}: installing, {peer.source}")
                peer.install()
                version = peer.version()
            _say(f"{peer.name} {version}")
        except Missing as error:
            failed = 1
            _say(f"{peer.name}: {error}")
            reason.parent.mkdir(exist_ok=True)
            reason.write_text(str(error))
    return failed


def run_round(nginx: Nginx, options: argparse.Namespace, found: tables.Found, number: int, *, rates: bool, freeze: bool) -> None:
    there = found.there()
    seconds = options.seconds
    for peer in there:
        run = partial(measure.closed_loop, peer, nginx, seconds, CONNECTIONS)
        found.throughput[peer].append(_tried(found, peer, number, "closed loop", run))
    for rate in RATES if rates else ():
        for peer in there:
            if peer.rate_mode is not None:
                pace = partial(measure.paced, peer, nginx, rate, seconds, CONNECTIONS)
                found.paces[peer][rate].append(_tried(found, peer, number, f"{rate}/s", pace))
    for peer in there if freeze else ():
        found.freezes[peer] = _tried(found, peer, number, "freeze", partial(measure.frozen, peer, FEW, MANY))


def _tried(found: tables.Found, peer: Peer, number: int, what: str, run: Callable[[], T]) -> T | None:
    """A tool that crashes or hangs becomes a note, not the end."""
    got: T | None = None
    try:
        got = run()
        _say(f"round {number + 1}, {what}: {peer.name}: {got}")
    except (measure.Failed, OSError) as error:
        _say(f"round {number + 1}, {what}: {peer.name}: {error}")
        found.notes.append(f"{peer.name}, {what}, round {number + 1}: {error}")
    return got


def _version(peer: Peer) -> str | Missing:
    try:
        return peer.version()
    except Missing as error:
        reason = PEERS_DIR / f"{type(peer).__name__}.why-not"
        return Missing(reason.read_text()) if str(error) == NOT_INSTALLED and reason.exists() else error


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__.split("\n")[0])
    parser.add_argument("--install", action="store_true", help="install what is missing, and end")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5, help="of each run (the freeze has its own)")
    parser.add_argument("--peers", nargs="+", metavar="NAME", help=f"some of: {', '.join(_key(peer) for peer in ALL)}")
    parser.add_argument("--quick", action="store_true", help="one round of 3 s: does it work?")
    parser.add_argument("--write", action="store_true", help="put tables and picture into benchmarks/")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds = 1, 3
    if options.rounds < 1 or options.seconds < 3:
        parser.error("at least one round of 3 seconds: the window in the middle of a run is 1.4 s shorter")
    known = {_key(peer): peer for peer in ALL}
    wrong = [name for name in options.peers or () if name not in known]
    if wrong:
        parser.error(f"no peer {', '.join(wrong)}; there are {', '.join(known)}")
    options.peers = [known[name] for name in options.peers or known]
    return options


def _key(peer: Peer) -> str:
    return type(peer).__name__.lower()


if __name__ == "__main__":
    main()
