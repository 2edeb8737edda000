"""Our blocks keep what Prefect asks of every integration: a logo, documentation, described fields, an example that loads one."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest
from prefect.blocks.core import Block
from prefect.client.orchestration import get_client
from prefect.testing.standard_test_suites import BlockStandardTestSuite, blocks

from loadflow.flows.blocks import DOCUMENTATION, LOGO, LoadflowStore, LoadTarget

ROOT = Path(__file__).resolve().parents[2]
OWN = {
    "https://github.com/loadflow/loadflow/blob/main/": DOCUMENTATION,
    "https://raw.githubusercontent.com/loadflow/loadflow/main/": LOGO,
}


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """The logo's address is a file of this repository: the suite reads that, not the network."""
    monkeypatch.setattr(blocks, "urlopen", lambda url: BytesIO(of_repository(url).read_bytes()))


def of_repository(url: str) -> Path:
    (prefix,) = (prefix for prefix in OWN if url.startswith(prefix))
    return ROOT / url.removeprefix(prefix)


@pytest.mark.usefixtures("offline")
class TestBlocks(BlockStandardTestSuite):
    @pytest.fixture(params=[LoadTarget, LoadflowStore], ids=lambda block: block.__name__)
    def block(self, request: pytest.FixtureRequest) -> type[Block]:
        return request.param


@pytest.mark.parametrize("url", OWN.values(), ids=["documentation", "logo"])
def test_what_a_block_points_to_is_a_file_of_this_repository(url: str) -> None:
    assert of_repository(url).is_file()


@pytest.mark.parametrize("block", [LoadTarget, LoadflowStore], ids=lambda block: block.__name__)
def test_the_example_in_the_form_is_python(block: type[Block]) -> None:
    example = block.get_code_example() or ""
    compile(example.partition("```python\n")[2].partition("```")[0], "example", "exec")


@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_server")
@pytest.mark.parametrize("block", [LoadTarget, LoadflowStore], ids=lambda block: block.__name__)
def test_the_server_takes_the_block_type_with_its_logo(block: type[Block]) -> None:
    block.register_type_and_schema()
    with get_client(sync_client=True) as client:
        kept = client.read_block_type_by_slug(str(block._block_type_slug))
    assert (str(kept.logo_url), str(kept.documentation_url)) == (LOGO, DOCUMENTATION)
