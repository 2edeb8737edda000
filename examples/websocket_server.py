"""The server that examples/websocket.json talks to: it answers a question at once, and an order after a moment, by itself.

python examples/websocket_server.py [PORT]
"""

from __future__ import annotations

import asyncio
import json
import sys

from websockets.asyncio.server import ServerConnection, serve


async def talk(connection: ServerConnection) -> None:
    orders: set[asyncio.Task[None]] = set()
    async for message in connection:
        asked = json.loads(message)
        if asked["type"] == "ask":
            await connection.send(json.dumps({"type": "answer", "id": asked["id"]}))
        else:
            orders.add(asyncio.create_task(deliver(connection, asked["id"])))


async def deliver(connection: ServerConnection, number: str) -> None:
    await asyncio.sleep(0.05)
    await connection.send(json.dumps({"type": "delivered", "id": number}))


async def main(port: int) -> None:
    async with serve(talk, "127.0.0.1", port) as server:
        print(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 8765))
