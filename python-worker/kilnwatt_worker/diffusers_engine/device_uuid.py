"""The name by which torch and NVIDIA's own library agree on a card."""

import torch


def uuid_of(device: torch.device) -> str:
    """Without the prefix `GPU-`."""
    return str(torch.cuda.get_device_properties(device).uuid)
