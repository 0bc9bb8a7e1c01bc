"""Makes small diffusers pipelines with random weights: for tests and for measuring."""

from kilnwatt_worker.remarks import silence

silence()
