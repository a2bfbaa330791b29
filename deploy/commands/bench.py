def bench() -> None:
    """X"""
