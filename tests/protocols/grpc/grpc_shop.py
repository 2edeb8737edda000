"""A gRPC server in a process of its own, which writes down what it received: `python grpc_shop.py JOB`, a JSON object.

Job: `port` (0: any), `generated` (the folder of generated code), `log` (a file), `reflection`, `packed` (answers in gzip), and for TLS
`key`, `chain` and `ca` (the client must show a certificate). Prints its port, then obeys its input: `reset` forgets all calls once none
is under way, `stop SECONDS` drains, and the end of it ends the process.
What an item or query is called says what happens: see `_obey`.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.json_format import MessageToDict
from grpc_reflection.v1alpha import reflection


class Log:
    """One JSON line for each event, written before the call is answered."""

    def __init__(self, path: str) -> None:
        self._file = Path(path).open("a", buffering=1, encoding="utf-8")  # noqa: SIM115  open as long as the process
        self._lock = threading.Lock()
        self._ends = threading.Condition(self._lock)
        self._now = self._peak = 0

    def reset(self) -> None:
        with self._ends:
            self._ends.wait_for(lambda: self._now == 0)
            self._peak = 0
            self._file.truncate(0)

    def write(self, **event: Any) -> None:
        with self._lock:
            self._file.write(json.dumps(event) + "\n")

    def began(self, method: str, context: Any) -> None:
        with self._lock:
            self._now += 1
            self._peak = max(self._peak, self._now)
            peak = self._peak
        metadata = [[key, value if isinstance(value, str) else value.hex()] for key, value in context.invocation_metadata()]
        self.write(call=method, peer=context.peer(), metadata=metadata, peak=peak, left_s=context.time_remaining())
        context.add_callback(lambda: self._ended(method))

    def _ended(self, method: str) -> None:
        self.write(ended=method)
        with self._ends:
            self._now -= 1
            self._ends.notify_all()


class Gate:
    """Calls pass in groups: those of one wait until it is whole."""

    def __init__(self) -> None:
        self._came = 0
        self._changed = threading.Condition()

    def reset(self) -> None:
        self._came = 0

    def wait_for(self, size: int) -> None:
        with self._changed:
            self._came += 1
            whole = -(-self._came // size) * size
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._came >= whole, 60)


DRAINING = threading.Event()
PACKED = grpc.Compression.Gzip


def _obey(word: str, context: Any, gate: Gate) -> None:
    """Do as an item is called.

    "fail NOT_FOUND text": end with that status. "wait 0.2": seconds. "never": until the client gives up. "together 20": until so
    many such calls have come. "drain": until the server drains. All else: nothing.
    """
    order, _, rest = word.partition(" ")
    if order == "fail":
        code, _, details = rest.partition(" ")
        context.abort(grpc.StatusCode[code], details)
    elif order == "wait":
        time.sleep(float(rest))
    elif order == "together":
        gate.wait_for(int(rest))
    elif order == "drain":
        DRAINING.wait(60)
    elif order == "never":
        given_up = threading.Event()
        if context.add_callback(given_up.set):
            given_up.wait()


def main() -> None:
    job = json.loads(sys.argv[1])
    sys.path.insert(0, job["generated"])
    import shop_pb2
    import shop_pb2_grpc

    log, gate = Log(job["log"]), Gate()

    def plain(message: Any) -> Any:
        return MessageToDict(message, preserving_proto_field_name=True)

    class Shop(shop_pb2_grpc.ShopServicer):  # type: ignore[misc]
        def Get(self, request: Any, context: Any) -> Any:
            log.began("Get", context)
            log.write(message=plain(request))
            context.send_initial_metadata((("x-before", "one"),))
            context.set_trailing_metadata((("x-after", "two"), ("x-raw-bin", b"\x00\xff")))
            _obey(request.name, context, gate)
            return request

        def List(self, request: Any, context: Any) -> Any:
            log.began("List", context)
            for number in range(request.count):
                yield shop_pb2.Item(id=number, name=request.name)
            _obey(request.name, context, gate)

        def Put(self, requests: Any, context: Any) -> Any:
            log.began("Put", context)
            count = 0
            for item in requests:
                log.write(message=plain(item))
                count += 1
            return shop_pb2.Count(count=count)

        def Chat(self, requests: Any, context: Any) -> Any:
            log.began("Chat", context)
            for item in requests:
                log.write(message=plain(item))
                _obey(item.name, context, gate)
                yield item

    server = grpc.server(ThreadPoolExecutor(64), options=(("grpc.so_reuseport", 0),), compression=PACKED if job.get("packed") else None)
    shop_pb2_grpc.add_ShopServicer_to_server(Shop(), server)
    if job.get("reflection", True):
        reflection.enable_server_reflection(("shop.Shop", reflection.SERVICE_NAME), server)
    address = f"127.0.0.1:{job['port']}"
    if job.get("key"):
        ca = Path(job["ca"]).read_bytes() if job.get("ca") else None
        pair = (Path(job["key"]).read_bytes(), Path(job["chain"]).read_bytes())
        port = server.add_secure_port(address, grpc.ssl_server_credentials([pair], ca, ca is not None))
    else:
        port = server.add_insecure_port(address)
    server.start()
    print(port, flush=True)
    for line in sys.stdin:
        if line == "reset\n":
            log.reset()
            gate.reset()
            print("as new", flush=True)
            continue
        stopped = server.stop(float(line.split()[1]))
        DRAINING.set()
        stopped.wait()
        print("stopped", flush=True)
    server.stop(0)


if __name__ == "__main__":
    main()
