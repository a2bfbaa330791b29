"""What the search on the CPU does beside the definition that tests/contract/test_search.py holds it against."""

from __future__ import annotations

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

from softpatch.scoring import search
from softpatch.scoring.search import BruteSearch, FlatSearch


def test_blas_has_one_thread_from_the_first_search_on() -> None:
    """Its threads would spin on the cores of the network; the search has workers of its own."""
    search._workers.cache_clear()
    with threadpool_limits(2, user_api="blas"):
        FlatSearch(np.eye(4, dtype=np.float32)).nearest(np.eye(4, dtype=np.float32))
        assert {each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"} == {1}


def test_frames_may_have_any_numbers_and_lie_in_any_order() -> None:
    """As after a refill of the bank, where patches of one frame lie apart."""
    rng = np.random.default_rng(0)
    bank, queries = rng.normal(size=(600, 16)).astype(np.float32), rng.normal(size=(300, 16)).astype(np.float32)
    frames = rng.choice(np.array([-3, 7, 1_000_000], np.int32), 600)
    found, defined = (made(bank).nearest_two_frames(queries, frames) for made in (FlatSearch, BruteSearch))
    np.testing.assert_array_equal(found.row, defined.row)
    np.testing.assert_allclose(found.distance, defined.distance, rtol=1e-5)
    np.testing.assert_allclose(found.second_frame_distance, defined.second_frame_distance, rtol=1e-5)
