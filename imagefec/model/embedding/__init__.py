"""Parts of the Embedder: input, batches, the table of photos, the identity of a run."""
