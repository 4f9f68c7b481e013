"""Training: settings, input, the loop and the run directory that it writes."""
