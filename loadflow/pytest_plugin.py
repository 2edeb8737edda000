"""pytest: a load as a test. `@pytest.mark.load("shop.py:Shop", rps=50, duration="10s")`, and the fixture `load_result`.

    @pytest.mark.load("shop.py:Shop", rps=50, duration="10s")
    def test_the_shop_holds(load_result):
        assert load_result.passed, load_result.reasons

The path counts from the test's file. `target` is a keyword of the mark, the option `--load-target`, or LOADFLOW_TARGET.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from loadflow.engine.session.load_result import LoadResult

__all__ = ["load_result", "pytest_addoption", "pytest_configure"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("loadflow").addoption("--load-target", metavar="URL", help="where requests of load tests go")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", 'load(scenario, target=None, **changes): run a loadflow scenario, such as "shop.py:Shop"')


@pytest.fixture
def load_result(request: pytest.FixtureRequest, tmp_path: Path) -> LoadResult:
    """What the load of the test's mark gave: verdict, figures, and figures by name. The load runs without Prefect."""
    from loadflow.engine.scenario.document import changed, document_of, found_at
    from loadflow.engine.session.execute import load_script, run_actions
    from loadflow.engine.session.load_result import LoadResult
    from loadflow.engine.session.session import Session, use_session

    mark = request.node.get_closest_marker("load")
    if mark is None or len(mark.args) != 1:
        raise pytest.UsageError('load_result needs @pytest.mark.load("FILE.py:CLASS", …) at the test')
    changes = dict(mark.kwargs)
    target = changes.pop("target", None) or request.config.getoption("--load-target") or os.environ.get("LOADFLOW_TARGET")
    place = mark.args[0]
    made, file = found_at(place if isinstance(place, type) else str(request.path.parent / place))
    document = document_of(changed(made, changes), file, target)
    with use_session(Session(runs_dir=tmp_path / "loadflow-runs", report_dir=tmp_path)) as session:
        results = run_actions(load_script(document, session=session, name=made.name), session)
        for one in results.results:
            if one.error is not None:
                raise one.error
        return LoadResult.of(session.all_runs[-1])
