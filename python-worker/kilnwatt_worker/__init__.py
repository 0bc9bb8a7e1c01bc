"""The Python side of kilnwatt: turns batches of requests into pictures with diffusers."""

__version__ = "0.1.0"
