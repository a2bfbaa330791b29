"""Drift of one view, told from its decisions alone against what its bank learnt. Pure functions of values.

`observation` reads a decision, `reference` a bank; `bets` and `evidence` watch frame after frame with a proved bound on
false alarms, `ranks` the scores among their own past, `numbering` for frames that are missing, `continuity` for equal
ones; `samples`, `psi` and `mmd` measure how far the last frames are away; `diagnosis` says in words what changed,
`episode` when it is over; `follow` puts them together in a state of bounded size.
"""
