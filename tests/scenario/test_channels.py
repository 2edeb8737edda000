"""What a function of Python may ask of channels in the native core."""

from __future__ import annotations

from typing import Any

import pytest

from loadflow.engine.generator.native.asked import NOT_BEGUN, Asking, Spoken


def asking() -> Any:
    return Asking(1_000)


@pytest.mark.parametrize("channels", [1, 4])
def test_shared_channels_are_refused_with_the_way_out(channels: int) -> None:
    with pytest.raises(TypeError, match="leave channels out, or mark the task") as caught:
        Spoken(asking(), "grpc", "call", ("shop.Shop/Get",), {"channels": channels})
    assert getattr(caught.value, NOT_BEGUN)


def test_no_channels_are_none() -> None:
    assert Spoken(asking(), "grpc", "call", ("shop.Shop/Get",), {"channels": None}).is_due
