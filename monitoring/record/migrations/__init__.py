"""How the history's database changed, one module a step; Alembic runs them in order."""
