"""How a bank decides the frames that people gave a word on."""

from collections.abc import Sequence

from softpatch.bank import Bank
from softpatch.building.embedding_buffer import EmbeddingBuffer
from softpatch.building.fitted_bank import SearchMaker
from softpatch.building.labels import Exemplars
from softpatch.manifest import GoldenResult
from softpatch.scoring.no_part import NoPartCheck
from softpatch.scoring.score import Scorer


def golden_result(
    bank: Bank, embeddings: EmbeddingBuffer, exemplars: Sequence[Exemplars], make_search: SearchMaker
) -> GoldenResult:
    """Good frames must pass, defective ones fail, those without a part show none; nothing is asked of the others."""
    scorer, no_part = Scorer(bank, make_search(bank.vectors)), NoPartCheck.of(bank, make_search)
    right, wrong = 0, []
    for each in exemplars:
        for row in (row for row in each.rows if row >= len(bank.calibration_scores)):
            frame = embeddings.take(range(row, row + 1))
            fails = scorer.score(frame)[0].score > bank.manifest.threshold.value
            shows_none = fails and no_part is not None and no_part.shows_no_part(frame[0])
            expected = {"good": not fails, "defect": fails and not shows_none, "no_part": shows_none}
            if expected.get(each.labelled.label, True):
                right += each.labelled.label in expected
            else:
                wrong.append(each.labelled.id)
    return GoldenResult(right=right, wrong=list(dict.fromkeys(wrong)))
