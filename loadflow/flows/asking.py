"""What conditions of a load ask of Prefect: the value of a variable, and whether an automation is enabled."""

from __future__ import annotations

from prefect.client.orchestration import get_client

from loadflow.flows.cancels import API_TROUBLE

__all__ = ["ask_prefect"]

REQUEST_S = 5.0


def ask_prefect(kind: str, name: str) -> object:
    """`kind` "variable": its value; "automation": whether it is enabled. Raises LookupError for a name that is none, OSError without an
    answer."""
    try:
        with get_client(httpx_settings={"timeout": REQUEST_S}, sync_client=True) as client:
            if kind == "variable":
                variable = client.read_variable_by_name(name)
                found: object = LookupError if variable is None else variable.value
            else:
                automations = client.request("POST", "/automations/filter", json={"limit": 200}).json()
                found = next((bool(one["enabled"]) for one in automations if one["name"] == name), LookupError)
    except API_TROUBLE as error:
        raise OSError(None, f"the Prefect API did not answer ({type(error).__name__}: {error})") from error
    if found is LookupError:
        raise LookupError(f"Prefect has no {kind} of this name")
    return found
