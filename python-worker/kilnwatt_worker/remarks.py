"""What libraries say of themselves when they are imported, which is for their makers and not for our users."""

import logging

# diffusers imports the first two wherever they are installed; they tell of kernels for cards, and torch of their types.
_TALKATIVE = ("bitsandbytes", "torchao", "torch.utils._pytree")


def silence() -> None:
    """To be called before diffusers is imported."""
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.ERROR)
