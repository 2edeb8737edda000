"""One file a load generator. The order is that of the tables before they are sorted by what was measured."""

from __future__ import annotations

from benchmarks.compare.peer import Peer
from benchmarks.compare.peers.autocannon import Autocannon
from benchmarks.compare.peers.h2load import H2load
from benchmarks.compare.peers.hey import Hey
from benchmarks.compare.peers.k6 import K6
from benchmarks.compare.peers.k9_load import K9Load
from benchmarks.compare.peers.load_density import LoadDensity
from benchmarks.compare.peers.loadflow import LoadflowLocust, LoadflowNative
from benchmarks.compare.peers.locust import Locust
from benchmarks.compare.peers.oha import Oha
from benchmarks.compare.peers.vegeta import Vegeta
from benchmarks.compare.peers.wrk import Wrk

__all__ = ["ALL"]

ALL: tuple[Peer, ...] = (
    LoadflowNative(),
    Wrk(),
    H2load(),
    Oha(),
    Hey(),
    Vegeta(),
    K6(),
    K9Load(),
    Autocannon(),
    LoadflowLocust(),
    Locust(),
    LoadDensity(),
)
