"""The window of a build as the banks before it see it: what is kept out of the new bank, and what the gate measures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from softpatch.bank import Bank
from softpatch.building.fit import Fit
from softpatch.building.fitted_bank import SearchMaker
from softpatch.building.input_choice import ChosenInput
from softpatch.building.joining_frames import JoiningFrames, joining_frames
from softpatch.building.minority_groups import MinorityGroup
from softpatch.building.quarantine import quarantined_groups
from softpatch.building.window import Window
from softpatch.gate.measures import ExaminedWindow, GateMeasures, gate_measures
from softpatch.gate.prior_scores import PriorBank, PriorScores, prior_scores
from softpatch.manifest import Manifest
from softpatch.network.embed import Embedder
from softpatch.settings import BuildSettings


@dataclass(frozen=True)
class PriorBanks:
    """The bank in force and a reference that a person pinned; `quarantine_frames` as in the gate's settings."""

    active: PriorBank | None = None
    reference: PriorBank | None = None
    quarantine_frames: int | None = None


nothing_before = PriorBanks()


@dataclass(frozen=True)
class WindowScores:
    """What the banks before say of every frame that was read, labelled ones behind the window's included."""

    active: PriorScores | None
    reference: PriorScores | None
    quarantine_frames: int | None
    joining: JoiningFrames | None = None
    """Which frames are of a group that the bank in force fails, though it passes them; None where nothing is asked."""

    def quarantine(
        self, window: Window, chosen: ChosenInput, settings: BuildSettings
    ) -> Callable[[bool], Sequence[MinorityGroup]]:
        """The groups that the bank in force fails, once it is known whether parts lie alike in every frame."""
        active, fewest = self.active, self.quarantine_frames
        if active is None or fewest is None or settings.groups == "learn":
            return lambda _: ()
        return lambda aligned: quarantined_groups(
            active,
            fewest=fewest,
            window_frames=window.frames.window_frames,
            aligned=aligned,
            geometry=chosen.geometry,
            grid=window.grid,
            frame_wh=window.frames.frame_wh,
        )


def window_scores(
    before: PriorBanks,
    window: Window,
    chosen: ChosenInput,
    embedder: Embedder,
    *,
    read: Callable[[Manifest], Window],
    make_search: SearchMaker,
) -> WindowScores:
    """Score the window by the banks before; it is read once more (`read`) for one whose input is another one."""

    def scored(prior: PriorBank | None, fewest: int | None) -> tuple[PriorScores | None, JoiningFrames | None]:
        if prior is None or prior.bank.manifest.graph_hash != embedder.graph_hash:
            return None, None
        manifest = prior.bank.manifest
        same = (manifest.geometry, manifest.features) == (chosen.geometry, chosen.features)
        embeddings = (window if same else read(manifest)).embeddings
        scores = prior_scores(prior, embeddings, make_search)
        return scores, None if fewest is None else joining_frames(scores, embeddings, make_search, fewest=fewest)

    active, joining = scored(before.active, before.quarantine_frames)
    pinned = before.reference
    same_bank = pinned is not None and active is not None and pinned.version == active.prior.version
    reference = active if same_bank else scored(pinned, None)[0]
    return WindowScores(active, reference, before.quarantine_frames, joining)


def examined(bank: Bank, window: Window, fitted: Fit, scores: WindowScores) -> GateMeasures:
    """What the gate knows of the bank that was built from this window."""
    own = window.frames.window_frames
    quarantined = 0
    if scores.active is not None:
        quarantined = int((scores.active.fails[:own] & fitted.labels.not_learnt).sum())
    return gate_measures(
        bank,
        ExaminedWindow(
            names=bank.manifest.frame_names[:own],
            given=window.frames.given_frames,
            known_groups=fitted.labels.known_not_learnt,
            by_active=scores.active,
            by_reference=scores.reference,
            called_good=fitted.labels.called_good,
            quarantined=quarantined,
        ),
    )
