"""Where a message ends in a stream of bytes. Pure: given what has come so far, it says what is whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from loadflow.engine.base.counted import counted
from loadflow.engine.plan.step_json import StepJson
from loadflow.engine.protocols.socket.words import bytes_of

__all__ = ["Counted", "Delimited", "Framing", "Prefixed", "framing_of"]

# where the message starts and ends, and where the next one starts
Cut = tuple[int, int, int]


class Framing(Protocol):
    def wrap(self, message: bytes) -> bytes:
        """The message as it is sent. Raises ValueError where it can't be."""
        ...

    def cut(self, buffer: bytearray, seen: int) -> Cut | None:
        """The first message of `buffer`; None while it is not whole. The first `seen` bytes were looked at before."""
        ...

    def needs(self, buffer: bytearray) -> int:
        """Bytes that the message is known to have."""
        ...


@dataclass(frozen=True, slots=True)
class Counted:
    """A fixed number of bytes."""

    length: int

    def wrap(self, message: bytes) -> bytes:
        return message

    def cut(self, buffer: bytearray, seen: int) -> Cut | None:
        return (0, self.length, self.length) if len(buffer) >= self.length else None

    def needs(self, buffer: bytearray) -> int:
        return self.length


@dataclass(frozen=True, slots=True)
class Delimited:
    """Up to a delimiter, which is not part of the message. It is added to what is sent, unless it is there already."""

    delimiter: bytes

    def wrap(self, message: bytes) -> bytes:
        return message if message.endswith(self.delimiter) else message + self.delimiter

    def cut(self, buffer: bytearray, seen: int) -> Cut | None:
        end = buffer.find(self.delimiter, max(0, seen - len(self.delimiter) + 1))
        return None if end < 0 else (0, end, end + len(self.delimiter))

    def needs(self, buffer: bytearray) -> int:
        return len(buffer)


@dataclass(frozen=True, slots=True)
class Prefixed:
    """As many bytes as the number before it says, which does not count itself."""

    length_bytes: int
    byte_order: Literal["big", "little"]

    def wrap(self, message: bytes) -> bytes:
        try:
            return len(message).to_bytes(self.length_bytes, self.byte_order) + message
        except OverflowError:
            raise ValueError(f"{counted(len(message), 'byte')} do not fit into a length of {counted(self.length_bytes, 'byte')}") from None

    def cut(self, buffer: bytearray, seen: int) -> Cut | None:
        end = self.needs(buffer)
        return (self.length_bytes, end, end) if self.length_bytes <= len(buffer) and end <= len(buffer) else None

    def needs(self, buffer: bytearray) -> int:
        if len(buffer) < self.length_bytes:
            return self.length_bytes
        return self.length_bytes + int.from_bytes(buffer[: self.length_bytes], self.byte_order)


def framing_of(config: StepJson) -> Framing:
    if config.get("delimiter") is not None:
        return Delimited(bytes_of(config["delimiter"]))
    order: Literal["big", "little"] = "little" if config.get("byte_order") == "little" else "big"
    return Prefixed(config["length_bytes"], order)
