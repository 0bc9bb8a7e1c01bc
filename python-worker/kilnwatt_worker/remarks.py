"""What libraries say of themselves when they are imported, which is for their makers and not for our users."""

import logging

# diffusers imports both wherever they are installed, and on a CPU they tell of kernels for cards.
_TALKATIVE = ("bitsandbytes", "torchao")


def silence() -> None:
    """To be called before diffusers is imported."""
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.ERROR)
