"""The drift service: follows the decisions of every view and reports when they no longer fit what its bank learnt."""
