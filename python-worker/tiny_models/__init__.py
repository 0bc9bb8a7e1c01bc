"""Makes small diffusers pipelines with random weights: for tests, for measuring, and for a first run without a card."""
