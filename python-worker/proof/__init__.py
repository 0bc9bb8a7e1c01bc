"""`scripts/gpu-proof`: every preset on this machine's card, in effect or refused with a reason, and its worth."""
