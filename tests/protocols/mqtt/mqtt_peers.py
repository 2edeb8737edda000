"""Brokers for the tests of mqtt_user: mosquitto, and one of raw bytes that answers what a test tells it to."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from tests.services import need

__all__ = ["Mosquitto", "RawBroker", "free_port", "listener"]

# what a broker of raw bytes says to a packet: by the packet's kind (high four bits of its first byte) and its whole bytes
Answer = Callable[[int, bytes], bytes | None]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


class Mosquitto:
    """A broker of its own on a free port. `settings` are lines of its configuration."""

    def __init__(self, folder: Path, *settings: str) -> None:
        program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
        need(program, "mosquitto is not installed (Debian: apt-get install mosquitto)")
        self._program = str(program)
        self.port = free_port()
        self._config = folder / "mosquitto.conf"
        # as root it would become another user, who can't read the test's files
        own = ["user root"] if os.geteuid() == 0 else []
        anonymous = [] if any(line.startswith("password_file") for line in settings) else ["allow_anonymous true"]
        self._config.write_text("\n".join([f"listener {self.port} 127.0.0.1", *own, *anonymous, *settings]) + "\n")
        self._log = folder / "mosquitto.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([self._program, "-c", str(self._config)], stdout=log, stderr=log)
        while True:
            assert self._process.poll() is None, self._log.read_text()
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextlib.contextmanager
def listener(port: int, topic: str, enough: int) -> Iterator[Callable[[], list[paho.MQTTMessage]]]:
    """Another client, of MQTT 5, subscribed before the block begins; what it gives waits until `enough` messages came."""
    messages: list[paho.MQTTMessage] = []
    ready, done = threading.Event(), threading.Event()
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)

    def on_message(_client: object, _data: object, message: paho.MQTTMessage) -> None:
        messages.append(message)
        if len(messages) >= enough:
            done.set()

    client.on_message = on_message
    client.on_connect = lambda *_: client.subscribe(topic, qos=2)
    client.on_subscribe = lambda *_: ready.set()
    client.connect("127.0.0.1", port)
    client.loop_start()
    try:
        assert ready.wait(20)

        def received() -> list[paho.MQTTMessage]:
            assert done.wait(20), messages
            return messages

        yield received
    finally:
        client.disconnect()
        client.loop_stop()


class RawBroker:
    """Frames what clients send and answers by a function; None closes the connection. `packets` is all that came."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.packets: list[bytes] = []
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.place = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def of_kind(self, kind: int) -> list[bytes]:
        return [packet for packet in self.packets if packet[0] >> 4 == kind]

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError), connection.makefile("rb") as stream:
            while head := stream.read(1):
                length, shift, written = 0, 0, b""
                while True:
                    byte = stream.read(1)
                    if not byte:
                        return
                    written += byte
                    length |= (byte[0] & 127) << shift
                    shift += 7
                    if not byte[0] & 128:
                        break
                packet = head + written + stream.read(length)
                self.packets.append(packet)
                answer = self._answer(head[0] >> 4, packet)
                if answer is None:
                    return
                connection.sendall(answer)
