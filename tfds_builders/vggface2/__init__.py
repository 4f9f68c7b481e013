"""The `vggface2` dataset (README.md); importing this registers its builder with TFDS."""

from tfds_builders.vggface2.vggface2_dataset_builder import Builder

__all__ = ["Builder"]
