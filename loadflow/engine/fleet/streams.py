"""The streams of a server that a run uses: the queue of shards, which all runs share, and the stream of its own rows."""

from __future__ import annotations

import uuid

from loadflow.engine.fleet.connection import Link, attempt
from loadflow.engine.fleet.subjects import AGENTS, COORDINATOR, LEASE_S, QUEUE, QUEUE_SUBJECTS, Subjects
from loadflow.errors import RunError

__all__ = ["close_run", "open_run"]

HOUR_S = 3600.0
ROWS_BYTES = 2**30  # of a run's rows on the server, of which the disks of the agents have all
NAME_TAKEN = 10058
FULL = 10047
UNHANDED = 256  # parts that the coordinator has and has not answered yet


async def open_run(link: Link, subjects: Subjects, shards: int) -> None:
    """Raises RunError when the run is there already, or when the server has no JetStream or no room."""
    import nats.errors
    from nats.js import api
    from nats.js.errors import APIError, Error

    stream = link.stream
    try:
        await _ensure_queue(link)
        try:
            await _add_rows(link, subjects, ROWS_BYTES)
        except APIError as error:
            if error.err_code != FULL:
                raise
            await _add_rows(link, subjects, ROWS_BYTES // 16)
        await stream.add_consumer(
            subjects.stream,
            api.ConsumerConfig(
                durable_name=COORDINATOR, ack_policy=api.AckPolicy.EXPLICIT, ack_wait=10.0, max_deliver=-1, max_ack_pending=UNHANDED
            ),
        )
        for number in range(shards):
            await stream.publish(subjects.shard(number), b"", stream=QUEUE)
    except APIError as error:
        if error.err_code == NAME_TAKEN:
            raise RunError(f"the run {subjects.run} is made already: its stream is on the server") from None
        raise RunError(f"the NATS server can't hold the run: {error.description}") from None
    except (TimeoutError, Error, nats.errors.Error) as error:
        raise RunError(f"the NATS server does not take the run: {error or type(error).__name__}; it needs JetStream (-js)") from None


async def _add_rows(link: Link, subjects: Subjects, max_bytes: int) -> object:
    """A queue, so that what the coordinator has is not on the server any more."""
    from nats.js import api

    return await link.stream.add_stream(
        api.StreamConfig(
            name=subjects.stream,
            subjects=[subjects.outs],
            retention=api.RetentionPolicy.WORK_QUEUE,
            storage=api.StorageType.FILE,
            discard=api.DiscardPolicy.NEW,
            max_bytes=max_bytes,
            max_age=HOUR_S,
            # two streams of one name and the same settings are one to the server; of two starts of a run the second must be refused
            description=f"loadflow run {subjects.run}, by {uuid.uuid4().hex}",
        )
    )


async def _ensure_queue(link: Link) -> None:
    from nats.js import api

    await link.stream.add_stream(
        api.StreamConfig(
            name=QUEUE,
            subjects=[QUEUE_SUBJECTS],
            retention=api.RetentionPolicy.WORK_QUEUE,
            storage=api.StorageType.FILE,
            discard=api.DiscardPolicy.NEW,
            max_bytes=2**20,
            max_age=HOUR_S,
        )
    )
    await link.stream.add_consumer(
        QUEUE,
        api.ConsumerConfig(
            durable_name=AGENTS, ack_policy=api.AckPolicy.EXPLICIT, ack_wait=LEASE_S, max_deliver=-1, max_ack_pending=10_000
        ),
    )


async def close_run(link: Link, subjects: Subjects) -> None:
    """What is left of it on the server is deleted."""
    await attempt(link.stream.purge_stream(QUEUE, subject=subjects.shards), "clearing the queue of shards")
    await attempt(link.stream.delete_stream(subjects.stream), "deleting the stream of rows")
