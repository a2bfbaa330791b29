"""How many views are decided at once, and which make room."""

from __future__ import annotations

from inference.known_views import KnownViews


class Clock:
    """A clock that the test sets."""

    now = 0.0

    def __call__(self) -> float:
        """The time."""
        return self.now


def test_no_more_views_than_there_is_room_for_but_those_with_a_bank() -> None:
    """A thousand serial numbers must not keep a line from being inspected."""
    views = KnownViews(most=2, forget_after_seconds=100, clock=Clock())
    assert views.admit("a", has_bank=False)
    assert views.admit("b", has_bank=False)
    assert not views.admit("c", has_bank=False)
    assert views.admit("a", has_bank=False)
    assert views.admit("c", has_bank=True)
    assert [views.knows(each) for each in "abcd"] == [True, True, True, False]


def test_silent_views_make_room() -> None:
    """A view that speaks again is as new."""
    clock = Clock()
    views = KnownViews(most=2, forget_after_seconds=100, clock=clock)
    views.admit("a", has_bank=False)
    clock.now = 60
    views.admit("b", has_bank=False)
    clock.now = 120
    assert views.forget_silent() == ("a",)
    assert views.forget_silent() == ()
    assert views.admit("c", has_bank=False)
    assert not views.admit("a", has_bank=False)
