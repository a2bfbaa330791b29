"""The drift service: follows the decisions of every view and says when the line left what its bank learnt."""
