"""Words for people."""


def counted(number: int, noun: str) -> str:
    """A number with its noun: "1 round", "4 rounds"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
