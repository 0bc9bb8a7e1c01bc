"""
Tokenizers of the real classes from a vocabulary that is written here, so that nothing is fetched.

The words are those that prompts for pictures are full of; anything else is read letter by letter,
as the real tokenizers do with what they do not know.
"""

from transformers import CLIPTokenizer, T5Tokenizer

WORDS = """
a an and the of in on at with without by to from for under over near behind between into through as is its
one two three four five six seven red orange yellow green blue purple violet pink brown black white grey gray
gold golden silver copper bright dark light pale deep soft warm cold hot small large big tiny huge old new young
circle square triangle ring star sphere cube cone line dot stripe stripes shape pattern grid spiral wave
cat dog bird fish horse fox owl bear wolf lion tiger elephant rabbit mouse butterfly bee dragon robot
man woman child girl boy people person face portrait hand hands eyes hair dress hat
tree trees forest flower flowers rose grass leaf leaves garden field mountain mountains hill valley river lake
sea ocean beach island desert snow ice rain storm cloud clouds sky sun moon stars sunset sunrise night day
morning evening autumn winter spring summer fog mist fire smoke water stone rock sand glass wood metal paper clay
house castle tower bridge city street road village church window door room table chair lamp candle book clock
cup bowl vase teapot kiln pottery ceramic plate bottle apple pear lemon bread car train ship boat bicycle plane
painting photo photograph drawing sketch watercolor oil ink pencil print poster illustration render style
art digital detailed highly sharp focus blurry blur quality best low worst high resolution realistic cinematic
lighting shadow shadows background foreground view wide close up macro minimal abstract vintage modern
beautiful simple colorful studio film grain bokeh texture text watermark
""".split()

START, END = "<|startoftext|>", "<|endoftext|>"


def clip_tokenizer(pad: str = END) -> CLIPTokenizer:
    """Byte-level, lower case, with an end-of-word mark, as CLIP's; only the list of merges is short."""
    merges = _merges()
    letters = _byte_letters()
    tokens = [*letters, *(letter + "</w>" for letter in letters), *("".join(pair) for pair in merges), START, END]
    vocabulary = {token: number for number, token in enumerate(dict.fromkeys(tokens))}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=77, pad_token=pad)


def t5_tokenizer() -> T5Tokenizer:
    """Unigram pieces with a space mark; whole words are likelier than their letters."""
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    pieces += [("▁" + word, -5.0) for word in dict.fromkeys(WORDS)]
    known = {piece for piece, _ in pieces}
    letters = ["▁", *(chr(code) for code in (*range(33, 127), *range(161, 384)))]
    pieces += [(letter, -10.0) for letter in letters if letter not in known]
    return T5Tokenizer(vocab=pieces, extra_ids=0, model_max_length=512)


def _merges() -> list[tuple[str, str]]:
    """Builds each word from its left end, shortest pieces first."""
    merges: dict[tuple[str, str], int] = {}
    for word in WORDS:
        letters = [*word[:-1], word[-1] + "</w>"]
        left = letters[0]
        for place, letter in enumerate(letters[1:]):
            merges.setdefault((left, letter), place)
            left += letter
    return sorted(merges, key=lambda pair: (merges[pair], pair))


def _byte_letters() -> list[str]:
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return [chr(code) for code in printable] + [chr(256 + place) for place in range(256 - len(printable))]
