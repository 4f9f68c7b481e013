"""The split that runs are evaluated on, loaded at the face size of each run."""

import os

from imagefec.data.store import datasets
from imagefec.faces.crop_settings import CropSettings


class SplitLoader:
    """A split of a built dataset. The triplets loaded last are cached.

    Attributes:
      data_dir: see `imagefec.data.store.datasets.load_triplets`.
      dataset: likewise.
      name: of the split.
    """

    def __init__(self, data_dir: str | os.PathLike[str], dataset: str, name: str) -> None:
        self.data_dir, self.dataset, self.name = data_dir, dataset, name
        self._cached: tuple[int, datasets.Triplets] | None = None

    def load(self, image_size: int) -> datasets.Triplets:
        """The triplets, with faces of image_size pixels; errors as in `load_triplets`."""
        if self._cached is None or self._cached[0] != image_size:
            self._cached = None  # releases the memory before more is needed
            self._cached = image_size, self._load(self.name, image_size)
        return self._cached[1]

    def load_any(self) -> datasets.Triplets:
        """The triplets, for uses without the images: those loaded last, or with faces of 1 px."""
        return self.load(1) if self._cached is None else self._cached[1]

    def load_other(self, name: str, image_size: int) -> datasets.Triplets:
        """Another split of the dataset; it is not cached."""
        return self._load(name, image_size)

    def has(self, name: str) -> bool:
        """Whether the dataset has a split of this name."""
        return name in datasets.split_names(self.data_dir, self.dataset, self.name)

    def base_splits(self, name: str) -> list[str]:
        """The splits that a split is made of: ["train"] for "train[:10%]"."""
        return datasets.base_splits(self.data_dir, self.dataset, name)

    def rater_source(self) -> str | None:
        """Who judged the triplets: "people", "simulated", "mixed"; None if it is not recorded."""
        return datasets.rater_source_of(self.data_dir, self.dataset, self.name)

    def crop_settings(self) -> CropSettings | None:
        """How the faces were cropped; None if it is not recorded."""
        return datasets.crop_settings_of(self.data_dir, self.dataset, self.name)

    def _load(self, name: str, image_size: int) -> datasets.Triplets:
        return datasets.load_triplets(self.data_dir, self.dataset, name, image_size)
