"""The folders of the project's gin files: in a checkout, or where pip installed them."""

import pathlib
import sys

CONFIG_DIRS = (
    pathlib.Path(__file__).parents[1] / "gin_configs",
    pathlib.Path(sys.prefix) / "share" / "imagefec" / "gin_configs",
)
