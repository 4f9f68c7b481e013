"""Parts of the Embedder and what is built on it: input, batches, photos, a transformer."""
