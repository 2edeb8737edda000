"""A small gRPC server for examples/grpc.json: `python examples/grpc/server.py`. It needs no generated code either."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_reflection.v1alpha import reflection
from grpc_tools import protoc

HERE = Path(__file__).parent
ADDRESS = "127.0.0.1:50051"


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        described = Path(scratch) / "greeter.bin"
        if protoc.main(["protoc", f"--proto_path={HERE}", f"--descriptor_set_out={described}", "greeter.proto"]) != 0:
            raise SystemExit("greeter.proto can't be compiled")
        files = descriptor_pb2.FileDescriptorSet.FromString(described.read_bytes())
    pool = descriptor_pool.Default()
    pool.Add(files.file[0])
    hello_class, greeting_class = (
        message_factory.GetMessageClass(pool.FindMessageTypeByName(f"greeter.{name}")) for name in ("Hello", "Greeting")
    )

    def greet(hello: Any, context: Any) -> Any:
        if not hello.name:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "whom?")
        return greeting_class(text=f"Hello {hello.name}", number=1)

    def greet_often(hello: Any, context: Any) -> Iterator[Any]:
        for number in range(hello.times):
            yield greeting_class(text=f"Hello {hello.name}", number=number + 1)

    write = greeting_class.SerializeToString
    methods = {
        "Greet": grpc.unary_unary_rpc_method_handler(greet, hello_class.FromString, write),
        "GreetOften": grpc.unary_stream_rpc_method_handler(greet_often, hello_class.FromString, write),
    }
    server = grpc.server(ThreadPoolExecutor(20))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("greeter.Greeter", methods),))
    reflection.enable_server_reflection(("greeter.Greeter", reflection.SERVICE_NAME), server)
    server.add_insecure_port(ADDRESS)
    server.start()
    print(f"listening on {ADDRESS}", flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main()
