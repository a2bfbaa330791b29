"""Drift of one view, told from its decisions alone against what its bank learnt. Pure functions of values.

`observation` reads a decision, `reference` a bank; `bets` and `evidence` watch frame after frame with a proved bound on
false alarms, `continuity` for frames that are missing or the same; `samples`, `psi` and `mmd` measure how far the last
frames are away; `diagnosis` says in words what changed; `follow` puts them together in a state of fixed size.
"""
