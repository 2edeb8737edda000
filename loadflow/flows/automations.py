"""The automations that loadflow ships, as files, and how they get into a Prefect server."""

from __future__ import annotations

from importlib import resources

import yaml
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.events.schemas.automations import AutomationCore
from prefect.exceptions import ObjectNotFound

from loadflow.engine.base.json_value import JsonObject
from loadflow.errors import CommandError, Mistake

__all__ = ["NAMES", "apply", "automation", "source"]

NAMES = ("zombies", "pause", "notify", "not-run", "crowded", "missing")
NOTIFYING = ("notify", "not-run", "crowded", "missing")
HOUR_S, DAY_S = 3_600, 86_400


def source(name: str) -> str:
    """The file of one automation, as YAML."""
    return (resources.files("loadflow.flows") / "automation" / f"{name}.yaml").read_text(encoding="utf-8")


def automation(
    name: str, *, pause_after: int = 3, within_days: float = 7, missing_after_hours: float = 26, block_id: str | None = None
) -> AutomationCore:
    """One of NAMES, with its numbers filled in."""
    document: JsonObject = yaml.safe_load(source(name))
    if name == "pause":
        document["trigger"] |= {"threshold": pause_after, "within": within_days * DAY_S}
    elif name == "missing":
        document["trigger"]["within"] = missing_after_hours * HOUR_S
        document["description"] = f"Sends a notification when a nightly load test has not begun for {missing_after_hours:g} hours."
    if name in NOTIFYING:
        document["actions"][0]["block_document_id"] = block_id
    return AutomationCore.model_validate(document)


def apply(
    *, pause_after: int | None = None, within_days: float = 7, notify: str | None = None, missing_after_hours: float = 26
) -> list[str]:
    """Make or update the automations on the server of PREFECT_API_URL; the names of those that are there now.

    `zombies` always; `pause` with `pause_after`; those of NOTIFYING with a block, written type/name as `prefect block ls` does.
    What was changed by hand under these names is replaced. Raises CommandError where there is no such block.
    """
    wanted = [automation("zombies")]
    if pause_after is not None:
        wanted.append(automation("pause", pause_after=pause_after, within_days=within_days))
    with get_client(sync_client=True) as client:
        if notify is not None:
            block_id = _block_id(client, notify)
            wanted += [automation(name, missing_after_hours=missing_after_hours, block_id=block_id) for name in NOTIFYING]
        for one in wanted:
            known = client.read_automations_by_name(one.name)
            if known:
                client.update_automation(known[0].id, one)
            else:
                client.create_automation(one)
    return [one.name for one in wanted]


def _block_id(client: SyncPrefectClient, notify: str) -> str:
    kind, _, name = notify.partition("/")
    try:
        return str(client.read_block_document_by_name(name, kind).id)
    except ObjectNotFound:
        hint = "write type/name, as in slack-webhook/ops; `prefect block ls` lists them"
        raise CommandError([Mistake("--notify", f"there is no block {notify!r}", hint)]) from None
