"""The banks in force, loaded, tested and swapped beside the scoring that uses them.

The topic `banks` names the bank of each view. A thread of its own follows it, fetches the file, checks it, runs its
self-test here, and only then puts it in force with one assignment: scoring reads it once per view and batch, so a swap
falls between two batches. A bank that fails is refused and counted, and the one before goes on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog

from inference.bank_notices import BankNotices, BankNotPutInForce, BankPutInForce
from inference.decide import InForce, Limits, NoBank
from ingest.bank_signature import NotSigned
from ingest.bank_state import BankInForce, BankState, ViewState
from ingest.bank_updates import bank_updates
from ingest.decision import Reason
from ingest.store import NotInStore, StoreError
from ingest.store_layout import signature_path
from softpatch.bank import Bank, InvalidBank, bank_from_bytes, bank_version
from softpatch.scoring.input_baseline import input_baseline_of
from softpatch.scoring.no_part import NoPartCheck
from softpatch.scoring.self_test import ProbesDisagree, run_self_test
from softpatch.scoring.torch_score import scorer_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    import numpy as np
    from jaxtyping import Float32

    from ingest.bank_signature import BankVerifier
    from ingest.kafka.records import Record
    from ingest.store import Store
    from softpatch.images.input_faults import InputBaseline
    from softpatch.network.embed import Embedder
    from softpatch.scoring.score import FrameScorer
    from softpatch.scoring.search import Search

log = structlog.get_logger(__name__)


class BankRefused(ValueError):
    """A bank that will not be put in force here; the text says why."""


@dataclass(frozen=True)
class Serving:
    """A tested bank, ready to score, with what decides by it."""

    in_force: InForce
    bank: Bank
    scorer: FrameScorer
    baseline: InputBaseline
    """How the view's frames look when nothing is wrong with its camera."""
    no_part: NoPartCheck | None = None
    """Whether a frame shows no part; None where nobody has shown the bank such frames."""

    def shows_no_part(self, score: float, embedding: Float32[Any, "p q d"]) -> bool:
        """Whether a frame that does not pass shows no part; of one that passes it is not asked."""
        return self.no_part is not None and score > self.in_force.limits.low and self.no_part.shows_no_part(embedding)


BankStatus = Serving | NoBank
"""How a view stands: by which bank it is scored, or why by none."""


class BankLoader:
    """From a bank in force to one that passed its self-test on this process's embedder."""

    def __init__(
        self,
        store: Store,
        embedder: Embedder,
        make_search: Callable[[np.ndarray], Search],
        verifier: BankVerifier | None = None,
    ) -> None:
        """`verifier`: knows whose banks come into force; None: anybody's."""
        self._verifier = verifier
        self._store = store
        self._embedder = embedder
        self._make_search = make_search

    @property
    def graph_hash(self) -> str:
        """Of the network that runs here."""
        return self._embedder.graph_hash

    def load(self, view: str, wanted: BankInForce) -> tuple[Bank, FrameScorer, InputBaseline, NoPartCheck | None]:
        """Fetch, check and test a bank; returns it with its scorer, the view's input baseline and its no-part check.

        Raises:
            BankRefused: the file is not this view's bank for this graph, or it scores its probes differently here.
            StoreError: the store does not give the file now.
        """
        if wanted.graph_hash != self._embedder.graph_hash:
            raise BankRefused(
                f"its graph is {wanted.graph_hash[:12]}, this process runs {self._embedder.graph_hash[:12]}: "
                "rebuild the bank with this backbone, or set runtime.backbone back"
            )
        bank = self._read(view, wanted)
        try:
            scorer = scorer_of(bank, self._make_search(bank.vectors))
            report = run_self_test(bank, self._embedder, scorer)
            baseline = input_baseline_of(bank)
            no_part = NoPartCheck.of(bank, self._make_search)
        except ProbesDisagree as error:
            raise BankRefused(str(error)) from error
        except Exception as error:  # a bank that breaks its own proof (memory, sizes) must not end the service
            raise BankRefused(f"it cannot be tried here: {type(error).__name__}: {error}") from error
        log.info(
            "bank_proven",
            view=view,
            version=wanted.version,
            probes_differ=round(report.worst_difference, 6),
            may_differ=report.tolerance,
        )
        return bank, scorer, baseline, no_part

    def _read(self, view: str, wanted: BankInForce) -> Bank:
        data = self._store.get(wanted.uri)
        if (found := bank_version(data)) != wanted.version:
            raise BankRefused(f"the file {wanted.uri} has changed: its sha256 is {found[:12]}")
        if self._verifier is not None:
            self._check_signature(self._verifier, wanted)
        try:
            bank = bank_from_bytes(data)
        except InvalidBank as error:
            raise BankRefused(f"the file {wanted.uri} is not a bank: {error}") from error
        manifest = bank.manifest
        if (manifest.view, manifest.graph_hash) != (view, wanted.graph_hash):
            raise BankRefused(f"it was built for view {manifest.view!r} and graph {manifest.graph_hash[:12]}")
        return bank

    def _check_signature(self, verifier: BankVerifier, wanted: BankInForce) -> None:
        try:
            verifier.check(wanted.version, self._store.get(signature_path(wanted.uri)))
        except NotSigned as error:
            raise BankRefused(str(error)) from error
        except NotInStore as error:
            raise BankRefused("it is not signed, as inference.bank_keys demands: patchline bank sign") from error


class ActiveBanks:
    """How every view stands. `take` and `retry` belong to one thread; `status` may be read from any."""

    def __init__(self, loader: BankLoader, notices: BankNotices) -> None:
        """`notices` is given every bank and every threshold that comes into force, and every refusal."""
        self._loader = loader
        self._notices = notices
        self._statuses: dict[str, BankStatus] = {}
        self._shadows: dict[str, Serving] = {}
        self._unfetched: dict[str, BankState] = {}
        self._store_fault: str | None = None

    def status(self, view: str) -> BankStatus:
        """By which bank a view is scored now."""
        return self._statuses.get(view, NoBank(Reason.LEARNING))

    def shadow(self, view: str) -> Serving | None:
        """The bank that a view's frames are scored by beside the one in force; None where there is none."""
        return self._shadows.get(view)

    @property
    def unfetched(self) -> frozenset[str]:
        """Views whose bank the store has not given yet; `retry` tries again."""
        return frozenset(self._unfetched)

    @property
    def store_fault(self) -> str | None:
        """What the store said when it last failed to answer at all; None once it has."""
        return self._store_fault

    def take(self, records: Iterable[Record]) -> None:
        """Bring every view that these records of `banks` are about to its last state."""
        updates = bank_updates(records)
        for view, state in updates.states.items():
            if state is None:
                self._unfetched.pop(view, None)
                self._shadows.pop(view, None)
                self._put(view, NoBank(Reason.LEARNING))
            else:
                self._apply(state)
                self._try(state)
        for view, error in updates.unreadable.items():
            self._refuse(view, f"its state cannot be read: {error}")

    def retry(self) -> None:
        """Try again to fetch the banks that the store did not give."""
        for state in list(self._unfetched.values()):
            self._apply(state)

    def _apply(self, state: BankState) -> None:
        self._unfetched.pop(state.view, None)
        if state.active is None:
            self._put(state.view, NoBank(Reason.LEARNING))
            return
        try:
            self._serve(state, state.active)
        except BankRefused as error:
            self._refuse(state.view, str(error), version=state.active.version)
        except StoreError as error:
            self._store_fault = None if isinstance(error, NotInStore) else str(error)
            self._unfetched[state.view] = state
            self._refuse_if_without_bank(state.view)
            log.warning("bank_not_fetched", view=state.view, version=state.active.version, cause=str(error))
        if self._without_bank(state.view) and state.previous is not None:
            self._fall_back(state, state.previous)

    def _try(self, state: BankState) -> None:
        """Load the bank that the state names as shadow, if it names one; one that cannot be loaded is not tried."""
        wanted, now = state.shadow, self._shadows.get(state.view)
        if wanted is None:
            self._shadows.pop(state.view, None)
            return
        in_force = _in_force(state, wanted)
        if now is not None and now.in_force.version == wanted.version:
            self._shadows[state.view] = replace(now, in_force=in_force)
            return
        self._shadows.pop(state.view, None)
        try:
            self._shadows[state.view] = Serving(in_force, *self._loader.load(state.view, wanted))
        except (BankRefused, StoreError) as error:
            log.warning("shadow_not_tried", view=state.view, version=wanted.version, cause=str(error))
        else:
            log.info("bank_in_shadow", view=state.view, version=wanted.version)

    def _serve(self, state: BankState, wanted: BankInForce) -> None:
        """Put a bank in force; where it already serves, only what decides by it changes."""
        in_force = _in_force(state, wanted)
        now = self.status(state.view)
        if isinstance(now, Serving) and now.in_force.version == wanted.version:
            self._put(state.view, replace(now, in_force=in_force))
            self._notices.put(BankPutInForce(state.view, in_force, swapped=False))
            return
        tried = self._shadows.get(state.view)
        if tried is not None and tried.in_force.version == wanted.version:
            self._put(state.view, replace(tried, in_force=in_force))
        else:
            self._put(state.view, Serving(in_force, *self._loader.load(state.view, wanted)))
        self._store_fault = None
        self._notices.put(BankPutInForce(state.view, in_force, swapped=True))
        log.info("bank_in_force", view=state.view, version=wanted.version, epoch=state.epoch)

    def _fall_back(self, state: BankState, previous: BankInForce) -> None:
        """Serve the previous bank, as a process would that had not been restarted."""
        try:
            self._serve(state, previous)
        except (BankRefused, StoreError) as error:
            log.warning("previous_bank_not_served", view=state.view, version=previous.version, cause=str(error))

    def _refuse(self, view: str, why: str, **known: str) -> None:
        self._notices.put(BankNotPutInForce(view))
        self._refuse_if_without_bank(view)
        log.error("bank_refused", view=view, why=why, **known)

    def _refuse_if_without_bank(self, view: str) -> None:
        if self._without_bank(view):
            self._put(view, NoBank(Reason.BANK_REFUSED))

    def _without_bank(self, view: str) -> bool:
        return isinstance(self.status(view), NoBank)

    def _put(self, view: str, status: BankStatus) -> None:
        if status == NoBank(Reason.LEARNING):  # what is said of any view that is not here
            self._statuses.pop(view, None)
        else:
            self._statuses[view] = status


def _in_force(state: BankState, bank: BankInForce) -> InForce:
    return InForce(
        version=bank.version,
        epoch=state.epoch,
        limits=Limits.of(bank),
        provisional=state.state is ViewState.PROVISIONAL,
    )
