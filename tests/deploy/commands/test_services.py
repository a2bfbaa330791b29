"""`patchline train` and `patchline inspect`: what the settings make of a service."""

from __future__ import annotations

from threading import Event

import pytest

from deploy.commands import inspect, train


@pytest.mark.parametrize("service", ["train", "inspect"])
def test_one_setting_decides_how_large_a_frame_may_be(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only inference read it: a larger camera had its frames scored by no bank, for it learnt from none of them."""
    module = {"train": train, "inspect": inspect}[service]
    served: list[object] = []
    monkeypatch.setattr(module, "begin_service", lambda _: Event())
    monkeypatch.setattr(module, "serve", lambda *_, images, **__: served.append(images.max_pixels))
    getattr(module, service)(flags=["images.max_pixels=70000000", "runtime.provider=cpu", "runtime.threads=1"])
    assert served == [70_000_000]
