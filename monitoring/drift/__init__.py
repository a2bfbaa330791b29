"""Drift of one view, measured by its decisions alone against what its bank learnt. Pure functions of values.

`observation` reads a decision, `reference` a bank; `bets` and `evidence` test frame after frame with a proved bound on
false alarms, `conformal_ranks` the scores among their own past, `frozen_camera` for equal frames; `sample_distances`,
`psi` and `mmd` measure how far the last frames are away; `diagnosis` names what changed, `episode` when it is over;
`detector` puts them together in a state of bounded size. Missing frames are counted by `ingest.sequence_gaps`.
"""
