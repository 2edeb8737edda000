"""Prefect blocks: what a team keeps about a system under test and about its store, by name, with nothing secret in clear."""

from __future__ import annotations

from typing import Any, ClassVar, cast

from prefect.blocks.core import Block
from prefect.blocks.system import Secret
from prefect.exceptions import ObjectNotFound
from pydantic import Field, SecretStr

from loadflow.engine.plan.target import TargetRules, host_of
from loadflow.engine.reports.logo import logo_url
from loadflow.engine.session.session import secret_of_environment
from loadflow.errors import Mistake, ScriptError

__all__ = ["LoadTarget", "LoadflowStore", "load_store", "load_target", "prefect_secret"]

# Prefect takes it by http alone, and where load runs the UI often has no way out: it is ours to serve, or the UI shows a sign of its own
SIGN = logo_url()
DOCUMENTATION = "https://github.com/loadflow/loadflow/blob/main/docs/targets.md"


class LoadTarget(Block):
    """A system that may be loaded.

    Attributes:
        base_url: What relative URLs of a script are relative to.
        headers: Sent with every request that has no header of that name; write secrets as ${secret.NAME}.
        allowed_hosts: Hosts that scripts may load: names with wildcards, addresses, networks. Empty: the host of base_url alone.
        max_rate_per_s: No load sends more requests per second, retries included.
        prometheus: The address of the Prometheus that has its metrics, for thresholds and conditions by PromQL.
        only_if: Conditions for each load, as `only_if` of LD_start_test has them.

    Example:
        Save one; the flow's parameter `target` names it:
        ```python
        from loadflow.flows.blocks import LoadTarget

        LoadTarget(base_url="https://shop.test.example").save("BLOCK_NAME")
        target = LoadTarget.load("BLOCK_NAME")
        ```
    """

    _block_type_name: ClassVar[str | None] = "Load Target"
    _block_type_slug: ClassVar[str | None] = "load-target"
    _logo_url: ClassVar[Any] = SIGN
    _documentation_url: ClassVar[Any] = DOCUMENTATION
    _block_schema_version: ClassVar[str | None] = "1.0.0"

    base_url: str = Field(description="What relative URLs of a script are relative to.")
    headers: dict[str, str] = Field(default={}, description="Sent with every request; write secrets as ${secret.NAME}.")
    allowed_hosts: list[str] = Field(default=[], description="Names with wildcards, addresses or networks; empty: base_url's host.")
    max_rate_per_s: float | None = Field(default=None, gt=0, description="The most requests per second, retries included.")

    prometheus: str = Field(default="", description="The Prometheus that has its metrics, for thresholds by PromQL.")
    only_if: list[dict[str, object]] = Field(default=[], description="Conditions for each load, as only_if of LD_start_test has them.")

    def rules(self) -> TargetRules:
        own = host_of(self.base_url)
        allowed = tuple(self.allowed_hosts) or ((own,) if own else ())
        return TargetRules(self.base_url, dict(self.headers), allowed, self.max_rate_per_s, self.prometheus or None, tuple(self.only_if))


class LoadflowStore(Block):
    """A database of runs.

    Attributes:
        url: A URL of SQLAlchemy, with its password; it is kept encrypted and never shown.

    Example:
        Save one; the flow's parameter `store` names it:
        ```python
        from loadflow.flows.blocks import LoadflowStore

        LoadflowStore(url="postgresql://loadflow:…@db/loadflow").save("BLOCK_NAME")
        store = LoadflowStore.load("BLOCK_NAME")
        ```
    """

    _block_type_name: ClassVar[str | None] = "Loadflow Store"
    _block_type_slug: ClassVar[str | None] = "loadflow-store"
    _logo_url: ClassVar[Any] = SIGN
    _documentation_url: ClassVar[Any] = DOCUMENTATION
    _block_schema_version: ClassVar[str | None] = "1.0.0"

    url: SecretStr = Field(description="A URL of SQLAlchemy, for example postgresql://user:password@host/database.")


def load_target(name: str) -> TargetRules:
    """Raises ScriptError where no such block is saved."""
    return cast(LoadTarget, _load(LoadTarget, name, "target")).rules()


def load_store(name: str) -> str:
    """The URL, password included. Raises ScriptError where no such block is saved."""
    return cast(LoadflowStore, _load(LoadflowStore, name, "store")).url.get_secret_value()


def prefect_secret(name: str) -> str:
    """The value of a Secret block, or else of LOADFLOW_SECRET_NAME. Raises LookupError where there is neither."""
    try:
        return secret_of_environment(name)
    except LookupError as error:
        try:
            found = cast(Secret[Any], Secret.load(name))
        except ValueError:
            raise LookupError(f"no secret {name!r}; save a Secret block of this name, or {str(error.args[0]).partition('; ')[2]}") from None
        return str(found.get())


def _load(kind: type[Block], name: str, parameter: str) -> Block:
    try:
        return cast(Block, kind.load(name))
    except (ValueError, ObjectNotFound):
        hint = f"save one: {kind.__name__}(…).save({name!r}), or make it in the UI after `prefect block register -m loadflow.flows.blocks`"
        raise ScriptError([Mistake(parameter, f"there is no {kind._block_type_name} block {name!r}", hint)]) from None
