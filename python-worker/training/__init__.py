"""Trains the model in the box, a tiny latent diffusion model, on pictures that it draws itself."""
