"""One training step: devices, losses, precision, optimizer update, and how XLA compiles it."""
