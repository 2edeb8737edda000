"""`python -m tests.prefect_tables`: makes the tables of a Prefect server in the database that the settings name."""

from __future__ import annotations

import asyncio

from prefect.server.database import provide_database_interface


async def make() -> None:
    database = provide_database_interface()
    await database.create_db()
    await (await database.engine()).dispose()


if __name__ == "__main__":
    asyncio.run(make())
