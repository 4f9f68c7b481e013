"""Maps: embeddings as points of a plane, for a page, TensorBoard's projector and a table."""
