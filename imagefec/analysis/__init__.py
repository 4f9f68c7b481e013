"""Evaluation of trained runs: embeddings, accuracy, neighbours, galleries and reports."""
