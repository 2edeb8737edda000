"""A large recording, written in pieces: for the test of memory and the benchmark."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

__all__ = ["write_recording"]

KINDS = ("application/json", "text/html", "text/javascript", "image/png")


def write_recording(path: Path, megabytes: float) -> int:
    """Pages of JSON, HTML, scripts and pictures of about 80 kB each; the next request sends its cursor. Returns the entries."""
    draw = random.Random(1)
    written = number = 0
    cursor = "0"
    with path.open("w", encoding="ascii") as file:
        file.write('{"log": {"version": "1.2", "entries": [')
        while written < megabytes * 1e6:
            kind = KINDS[number % len(KINDS)]
            following = f"{draw.getrandbits(64):016x}"
            text = json.dumps(_entry(number, kind, cursor, _body(draw, kind, following)))
            file.write(f",\n{text}" if number else text)
            cursor = following
            written += len(text)
            number += 1
        file.write("]}}")
    return number


def _body(draw: random.Random, kind: str, cursor: str) -> str:
    if kind == "application/json":
        items = [{"id": draw.getrandbits(40), "key": f"{draw.getrandbits(96):024x}", "title": "some words here"} for _ in range(900)]
        return json.dumps({"items": items, "next": cursor})
    if kind == "text/html":
        return "<html>" + "<p>hello world text 12345abc</p>" * 2500 + "</html>"
    return "var x = 12345;" * 6000 if kind == "text/javascript" else "A" * 80_000


def _entry(number: int, kind: str, cursor: str, body: str) -> dict[str, Any]:
    headers = [{"name": f"x-header-{index}", "value": "v" * 40} for index in range(15)]
    content = {"mimeType": kind, "text": body, **({"encoding": "base64"} if kind == "image/png" else {})}
    minutes, seconds, tenths = number // 600, number // 10 % 60, number % 10
    return {
        "startedDateTime": f"2024-05-06T{9 + minutes // 60:02d}:{minutes % 60:02d}:{seconds:02d}.{tenths}00Z",
        "time": 20,
        "request": {"method": "GET", "url": f"https://shop.example/pages/{number}?cursor={cursor}", "headers": headers},
        "response": {"status": 200, "headers": headers, "content": content},
    }
