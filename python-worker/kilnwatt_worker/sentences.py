"""Sentences of this process: how long they may be, and what they take from others."""

MAX_SENTENCE = 500
_END = 120


def cut(sentence: str) -> str:
    """
    At most 500 characters: the start, which says what and where, and the end, which says what to do.

    Sentences repeat names from requests; whole, one of those could make the answer longer than a line may be.
    """
    if len(sentence) <= MAX_SENTENCE:
        return sentence
    return f"{sentence[: MAX_SENTENCE - _END - 3]} … {sentence[-_END:]}"


def first_line(error: BaseException) -> str:
    """What an error of another library says, which may be many lines, or nothing but its kind."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
