"""One Prefect task per command, made from the command table."""

from loadflow.tasks.factory import task_for

__all__ = ["task_for"]
