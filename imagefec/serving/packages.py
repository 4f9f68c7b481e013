"""Which optional packages a verb lacks; imports none of them."""

import importlib.util
from collections.abc import Sequence

from imagefec.errors import UserError

PAGE = ("starlette", "uvicorn", "websockets")
ENGINE = ("onnx", "onnxruntime")


def check_packages(verb: str, packages: Sequence[str]) -> None:
    """Raises UserError if a package that a verb requires, of the extra `serve`, is missing."""
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(
            f"`{verb}` requires {', '.join(missing)}. Run: pip install 'imagefec[serve]' (in a "
            "checkout: pip install -e '.[serve]')."
        )
