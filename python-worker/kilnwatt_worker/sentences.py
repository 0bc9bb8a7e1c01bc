"""How long a sentence of this process may be."""

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
