"""Which run made a vector: what an index or a table records and compares."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class RunIdentity:
    """The run that vectors are from.

    Attributes:
      digest: of its weights, SHA-256, hexadecimal. Equal digests give comparable vectors; the other
        attributes are for people.
      path: of the run or archive, as it was loaded; "" if unknown.
      step: training step; None if unknown.
      dataset: it was trained on; None if unknown.
    """

    digest: str
    path: str = ""
    step: int | None = None
    dataset: str | None = None

    def __str__(self) -> str:
        step = "" if self.step is None else f", step {self.step}"
        return f"run {self.path or '(of unknown path)'}{step} (weights {self.digest[:12]})"

    def as_json(self) -> dict[str, Any]:
        """JSON values, from which `from_json` makes an equal one."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Any) -> "RunIdentity":
        """Reads what `as_json` made.

        Raises:
          ValueError: it is of another form.
        """
        kinds = {"digest": str, "path": str, "step": int | None, "dataset": str | None}
        if not isinstance(value, dict) or value.keys() != kinds.keys():
            raise ValueError(f"a run must have {', '.join(kinds)}")
        for name, kind in kinds.items():
            if not isinstance(value[name], kind) or isinstance(value[name], bool):
                raise ValueError(f"{name} of a run is {value[name]!r}")
        return cls(**value)
