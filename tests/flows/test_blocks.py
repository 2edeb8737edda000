"""Our blocks pass Prefect's own tests of blocks, and the UI gets what it needs for their forms."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from prefect.blocks.core import Block
from prefect.client.orchestration import get_client
from prefect.testing.standard_test_suites import BlockStandardTestSuite

from loadflow.engine.reports.links import REPORTS_URL_VARIABLE
from loadflow.engine.reports.logo import logo_url
from loadflow.flows.blocks import LoadflowStore, LoadTarget

BLOCKS = [LoadTarget, LoadflowStore]


@pytest.mark.parametrize("block", BLOCKS)
class TestByPrefectsRules(BlockStandardTestSuite):
    @pytest.fixture
    def block(self) -> type[Block]:
        raise NotImplementedError("the class's parametrization gives it")

    def test_has_a_valid_image(self, block: type[Block]) -> None:
        """Prefect's own test fetches the logo from the internet; ours is where reports are served: see tests/cli/test_reports_serve.py."""
        assert block._logo_url == logo_url()


@pytest.mark.parametrize("block", BLOCKS)
def test_the_example_that_the_ui_shows_runs(block: type[Block], prefect_server: None) -> None:
    name = f"own-{uuid4().hex[:8]}"
    example = str(block.get_code_example()).partition("```python")[2].partition("```")[0].replace("BLOCK_NAME", name)
    names: dict[str, Any] = {}
    exec(example, names)
    assert isinstance(names[block.get_block_type_slug().rpartition("-")[2]], block)


def test_registering_the_module_puts_forms_with_a_text_for_each_field_on_the_server(prefect_server: None) -> None:
    for block in BLOCKS:
        block.register_type_and_schema()
    with get_client(sync_client=True) as client:
        for block in BLOCKS:
            kind = client.read_block_type_by_slug(block.get_block_type_slug())
            assert kind.description
            assert "targets.md" in str(kind.documentation_url)
            schema = client.read_block_schema_by_checksum(block._calculate_schema_checksum())
            assert all(field["description"] and field["title"] for field in schema.fields["properties"].values())


def test_the_server_is_told_that_the_logo_is_beside_the_reports(prefect_server: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(REPORTS_URL_VARIABLE, "http://reports.test:8090/load/")
    assert logo_url() == "http://reports.test:8090/load/logo.png"
    for block in BLOCKS:
        monkeypatch.setattr(block, "_logo_url", logo_url())
        block.register_type_and_schema()
    with get_client(sync_client=True) as client:
        kinds = [client.read_block_type_by_slug(block.get_block_type_slug()) for block in BLOCKS]
    assert [str(kind.logo_url) for kind in kinds] == ["http://reports.test:8090/load/logo.png"] * 2


@pytest.mark.parametrize("base", ["", "file:///srv/reports", "reports.test", "http://["])
def test_without_a_place_on_the_web_there_is_no_logo(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(REPORTS_URL_VARIABLE, base)
    assert logo_url() is None


def test_the_password_of_a_store_is_shown_to_nobody_who_did_not_ask_for_secrets(prefect_server: None) -> None:
    name = f"own-{uuid4().hex[:8]}"
    LoadflowStore(url="postgresql://loadflow:pa55@db/loadflow").save(name)
    with get_client(sync_client=True) as client:
        shown = client.read_block_document_by_name(name, "loadflow-store", include_secrets=False)
    assert "pa55" not in str(shown.data)
    assert "pa55" not in repr(LoadflowStore.load(name))
    assert LoadflowStore.load(name).url.get_secret_value() == "postgresql://loadflow:pa55@db/loadflow"
