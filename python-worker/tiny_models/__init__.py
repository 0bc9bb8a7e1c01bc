"""Makes small diffusers pipelines with random weights: for tests and for measuring."""
