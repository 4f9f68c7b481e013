"""Pure functions on NumPy and JAX arrays: geometry, augmentation, losses, metrics. No files."""
