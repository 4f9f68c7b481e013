"""What is measured while a model trains: divergence, evaluation, progress, signals, augmented views."""
