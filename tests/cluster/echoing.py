"""A process with the master's socket: says its port, then one JSON line for each message and each refusal; answers with the same."""

from gevent import monkey

monkey.patch_all()

import json  # noqa: E402
import os  # noqa: E402


def main() -> None:
    from loadflow.engine.cluster.keys import keys_of
    from loadflow.engine.cluster.wire import MasterSocket

    def say(**line: object) -> None:
        print(json.dumps(line, default=repr), flush=True)

    socket = MasterSocket("127.0.0.1", 0, keys_of(os.environ["LOADFLOW_WORKER_TOKEN"]), lambda peer: say(refused=peer))
    say(port=socket.port)
    while True:
        sender, message = socket.recv_from_client()
        say(sender=sender, kind=message.type, data=message.data, node=message.node_id)
        socket.send_to_client(message)


if __name__ == "__main__":
    main()
