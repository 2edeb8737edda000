"""What conditions of a load ask of Prefect: the value of a variable, and whether an automation is enabled."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator

from prefect.client.orchestration import SyncPrefectClient, get_client

from loadflow.engine.base.json_value import JsonObject
from loadflow.flows.cancels import API_TROUBLE

__all__ = ["ask_prefect"]

REQUEST_S = 5.0
EVERY = "*"
PAGE = 200  # what the API gives at most at a time


def _automations(client: SyncPrefectClient) -> Iterator[JsonObject]:
    offset = 0
    while page := client.request("POST", "/automations/filter", json={"limit": PAGE, "offset": offset}).json():
        yield from page
        offset += len(page)


def ask_prefect(kind: str, name: str) -> object:
    """`kind` "variable": its value; "automation": the names of those that are paused, of all that `name` means, which may have wildcards.

    Raises LookupError for a name that is none, but for `*` where there are no automations at all; OSError without an answer.
    """
    try:
        with get_client(httpx_settings={"timeout": REQUEST_S}, sync_client=True) as client:
            if kind == "variable":
                variable = client.read_variable_by_name(name)
                found: object = LookupError if variable is None else variable.value
            else:
                meant = [one for one in _automations(client) if fnmatch.fnmatchcase(one["name"], name)]
                found = [str(one["name"]) for one in meant if not one["enabled"]] if meant or name == EVERY else LookupError
    except API_TROUBLE as error:
        raise OSError(None, f"the Prefect API did not answer ({type(error).__name__}: {error})") from error
    if found is LookupError:
        raise LookupError(f"Prefect has no {kind} of this name")
    return found
