"""What `benchmarks/compare` reads out of each tool's report. The texts are what the tools wrote, shortened to the lines around what counts.

Most are of a target that answered every third request with 503 and closed the connection on every seventh, so errors show.
vegeta's follows its documentation.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.compare.peer import Load, Peer, Said, Unreadable, ms
from benchmarks.compare.peers import ALL
from benchmarks.compare.peers.autocannon import Autocannon
from benchmarks.compare.peers.h2load import H2load
from benchmarks.compare.peers.hey import Hey
from benchmarks.compare.peers.k6 import K6
from benchmarks.compare.peers.k9_load import K9Load
from benchmarks.compare.peers.load_density import LoadDensity
from benchmarks.compare.peers.loadflow import LoadflowNative
from benchmarks.compare.peers.locust import Locust
from benchmarks.compare.peers.oha import Oha
from benchmarks.compare.peers.vegeta import Vegeta
from benchmarks.compare.peers.wrk import Wrk

WRK = """Running 2s test @ http://127.0.0.1:35705/
  1 threads and 4 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency    53.04ms   20.36ms  92.01ms   74.82%
    Req/Sec    70.11     10.61    90.00     73.68%
  Latency Distribution
     50%   59.61ms
     75%   63.99ms
     90%   71.94ms
     99%   86.59ms
  139 requests in 2.03s, 16.46KB read
"""
WRK_ERRORS = """  Socket errors: connect 0, read 23, write 0, timeout 0
  Non-2xx or 3xx responses: 46
Requests/sec:     68.42
"""
H2LOAD = """finished in 2.01s, 9.50 req/s, 1.10KB/s
requests: 19 total, 23 started, 19 done, 13 succeeded, 6 failed, 0 errored, 0 timeout
status codes: 13 2xx, 0 3xx, 0 4xx, 6 5xx
                     min         max         mean         sd        +/- sd
time for request:    18.75ms     76.03ms     58.56ms     18.38ms    84.21%
time for connect:       10us        47us        31us        16us    75.00%
"""
HEY = """
Summary:
  Total:\t2.0713 secs
  Slowest:\t0.2846 secs
  Fastest:\t0.0201 secs

Response time histogram:
  0.020 [1]\t|
  0.047 [23]\t|■■■■■■■■■■

Latency distribution:
  95% in 0.1019 secs
  99% in 0.2746 secs

Status code distribution:
  [200]\t89 responses
  [503]\t44 responses

"""
HEY_ERRORS = 'Error distribution:\n  [7]\tGet "http://127.0.0.1:9/": dial tcp 127.0.0.1:9: connect: connection refused\n\n'
HEY_REFUSED = f"Summary:\n  Slowest:\t0.0000 secs\n\nStatus code distribution:\n\n{HEY_ERRORS}"
AUTOCANNON = (
    '{"errors":0,"timeouts":2,"non2xx":41,"resets":0,"2xx":83,"5xx":41,'
    '"latency":{"average":191.93,"max":456,"p99":455},"requests":{"average":62,"total":124,"sent":128}}'
)
OHA = """{"summary": {"successRate": 0.857, "slowest": 0.055981174}, "latencyPercentiles": {"p95": 0.0543, "p99": 0.05575},
"statusCodeDistribution": {"200": 116, "503": 58}, "errorDistribution": {"connection closed before message completed": 29}}"""
VEGETA = """{"latencies":{"total":1,"mean":1,"50th":1,"99th":2500000,"max":4000000,"min":1},"requests":100,"rate":50.5,"success":0.9,
"status_codes":{"0":4,"200":90,"503":6},"errors":["EOF"]}"""
K6_REPORT = """{"http_req_duration":{"type":"trend","contains":"time","values":{"p(99)":131.85502505,"max":162.795761}},
"http_reqs":{"contains":"default","values":{"count":136,"rate":66.32827347123742},"type":"counter"},
"checks":{"values":{"rate":0.6617647058823529,"passes":90,"fails":46},"type":"rate","contains":"default"}}"""
LOCUST = 'some other line\n{"requests": 60, "errors": 19, "p99": 200, "max": 201.9064080013777}\n'
LOAD_DENSITY = """a line of log
{"totals": {"requests": 172, "successes": 115, "failures": 57}, "latency_overall": {"count": 172, "p99_ms": 64.9, "max_ms": 92.8}}
"""
LOADFLOW = '\n{"totals": {"requests": 199, "failures": 86}, "latency": {"count": 199, "p99_ms": 59.6, "max_ms": 59.97}}\n'

READ: list[tuple[str, Peer, str, Said]] = [
    ("wrk leaves the lines of errors out when there are none", Wrk(), WRK, Said(139, 0, 86.59, 92.01)),
    ("wrk's errors are those of sockets and of status", Wrk(), WRK + WRK_ERRORS, Said(139, 69, 86.59, 92.01)),
    ("h2load has no percentiles", H2load(), H2LOAD, Said(19, 6, None, 76.03)),
    ("hey counts by status", Hey(), HEY, Said(133, 44, 274.6, 284.6)),
    ("hey lists what got no answer apart", Hey(), HEY + HEY_ERRORS, Said(140, 51, 274.6, 284.6)),
    ("hey has no p99 when nothing was answered", Hey(), HEY_REFUSED, Said(7, 7, None, 0.0)),
    ("autocannon counts timeouts beside status", Autocannon(), AUTOCANNON, Said(124, 43, 455.0, 456.0)),
    ("oha reports seconds", Oha(), OHA, Said(203, 87, 55.75, 55.981174)),
    ("vegeta reports nanoseconds", Vegeta(), VEGETA, Said(100, 10, 2.5, 4.0)),
    ("k6's errors are its failed checks", K6(), K6_REPORT, Said(136, 46, 131.85502505, 162.795761)),
    ("Locust's line is found among others", Locust(), LOCUST, Said(60, 19, 200, 201.9064080013777)),
    ("LoadDensity's summary is the last line", LoadDensity(), LOAD_DENSITY, Said(172, 57, 64.9, 92.8)),
    ("loadflow's summary is the last line", LoadflowNative(), LOADFLOW, Said(199, 86, 59.6, 59.97)),
]


def load(folder: Path, rate: int | None = None) -> Load:
    return Load("http://127.0.0.1:9/", 5, 50, folder, rate)


@pytest.mark.parametrize(("fact", "peer", "output", "expected"), READ, ids=[fact for fact, *_ in READ])
def test_reports_are_read(fact: str, peer: Peer, output: str, expected: Said, tmp_path: Path) -> None:
    got = peer.read(output, load(tmp_path))
    assert (got.requests, got.errors) == (expected.requests, expected.errors), fact
    assert got.p99_ms == pytest.approx(expected.p99_ms), fact
    assert got.max_ms == pytest.approx(expected.max_ms), fact


@pytest.mark.parametrize("corrected", [False, True])
def test_k9_load_reports_in_a_file_with_corrected_times_at_a_rate(corrected: bool, tmp_path: Path) -> None:
    metrics = {"http_reqs": {"count": 145.0}, "checks": {"passes": 95, "fails": 50}, "http_req_duration": {"p(99)": 88.48, "max": 107.8}}
    if corrected:
        metrics["iteration_duration_corrected"] = {"p(99)": 900.0, "max": 1000.0}
    (tmp_path / "summary.json").write_text(json.dumps({"metrics": metrics}))
    expected = Said(145, 50, 900.0, 1000.0) if corrected else Said(145, 50, 88.48, 107.8)
    assert K9Load().read("what it prints is not read", load(tmp_path)) == expected


@pytest.mark.parametrize("output", ["", "something else\n", "{}", "[1, 2]"])
@pytest.mark.parametrize("peer", ALL, ids=lambda peer: peer.name)
def test_a_report_that_is_not_one_is_said_to_be_unreadable(peer: Peer, output: str, tmp_path: Path) -> None:
    with pytest.raises(Unreadable):
        peer.read(output, load(tmp_path))


@pytest.mark.parametrize("peer", [peer for peer in ALL if peer.rate_mode is not None], ids=lambda peer: peer.name)
def test_a_tool_that_keeps_a_rate_is_asked_for_it(peer: Peer, tmp_path: Path) -> None:
    """The number stands in its command, or in a file that the command names; no more connections than requests a second."""

    def asked(rate: int | None) -> str:
        command = " ".join(peer.command(load(tmp_path, rate)))
        return command + "".join(file.read_text() for file in tmp_path.iterdir())

    closed, at_a_rate = asked(None), asked(5_000)
    assert at_a_rate != closed
    assert "5000" in at_a_rate or "=100 " in at_a_rate or "-q 100 " in at_a_rate or "(100.0)" in at_a_rate


@pytest.mark.parametrize(("text", "expected"), [("520us", 0.52), ("1.31ms", 1.31), ("2.50s", 2500.0), ("1.00m", 60_000.0), ("90ns", 9e-5)])
def test_lengths_of_time(text: str, expected: float) -> None:
    assert ms(text) == pytest.approx(expected)


def test_a_length_of_time_without_a_unit_is_unreadable() -> None:
    with pytest.raises(Unreadable, match="12"):
        ms("12")
