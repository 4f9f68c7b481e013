"""The `fec` dataset (README.md); importing this registers its builder with TFDS."""

from tfds_builders.fec.fec_dataset_builder import Builder

__all__ = ["Builder"]
