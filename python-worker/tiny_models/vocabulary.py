"""
Tokenizers of the real classes from a vocabulary of our own, `words.txt`, so that nothing is fetched.

The words are those that prompts for pictures are full of; anything else is read letter by letter,
as the real tokenizers do with what they do not know.
"""

from collections import Counter
from collections.abc import Iterable
from functools import cache
from itertools import pairwise
from pathlib import Path

from transformers import CLIPTokenizer, T5Tokenizer

WORDS = Path(__file__).with_name("words.txt").read_text(encoding="utf-8").split()

START, END = "<|startoftext|>", "<|endoftext|>"


def clip_tokenizer(pad: str = END, words: Iterable[str] = WORDS, length: int = 77) -> CLIPTokenizer:
    """
    Byte-level, lower case, with an end-of-word mark, as CLIP's; only the list of merges is short: each of `words` is
    one token. Prompts are cut at `length` tokens, start and end among them.
    """
    merges = _merges(tuple(dict.fromkeys(words)))
    letters = _byte_letters()
    tokens = [*letters, *(letter + "</w>" for letter in letters), *("".join(pair) for pair in merges), START, END]
    vocabulary = {token: number for number, token in enumerate(dict.fromkeys(tokens))}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=length, pad_token=pad)


def t5_tokenizer() -> T5Tokenizer:
    """Unigram pieces with a space mark; whole words are likelier than their letters."""
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    pieces += [("▁" + word, -5.0) for word in dict.fromkeys(WORDS)]
    known = {piece for piece, _ in pieces}
    letters = ["▁", *(chr(code) for code in (*range(33, 127), *range(161, 384)))]
    pieces += [(letter, -10.0) for letter in letters if letter not in known]
    return T5Tokenizer(vocab=pieces, extra_ids=0, model_max_length=512)


@cache
def _merges(known: tuple[str, ...]) -> list[tuple[str, str]]:
    """Byte pair encoding, until each word is one token: the most frequent pair first, of equals the smallest."""
    words = [[*word[:-1], word[-1] + "</w>"] for word in known]
    merges: list[tuple[str, str]] = []
    while pairs := Counter(pair for word in words for pair in pairwise(word)):
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        words = [_merged(word, best) if best in pairwise(word) else word for word in words if len(word) > 1]
    return merges


def _merged(word: list[str], pair: tuple[str, str]) -> list[str]:
    merged: list[str] = []
    for piece in word:
        if merged and (merged[-1], piece) == pair:
            merged[-1] += piece
        else:
            merged.append(piece)
    return merged


def _byte_letters() -> list[str]:
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return [chr(code) for code in printable] + [chr(256 + place) for place in range(256 - len(printable))]
