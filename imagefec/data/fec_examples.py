"""Makes the examples of the `fec` dataset from FEC's csv rows and the cropped faces, without TFDS.

`fec_csv` reads the csv files, `crop` makes the faces, the dataset builder writes the records.
`plan_split` selects the examples; `make_example` makes one, on any machine that can read the
files.
"""

from __future__ import annotations

import dataclasses
import struct
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from imagefec.data import fec_csv
from imagefec.data.crop import face_folder
from imagefec.data.crop.csv_triplets import why_lost
from imagefec.data.exclusion import EXCLUDED, Exclusion
from imagefec.errors import UserError
from imagefec.faces.crop import FACE_PX
from imagefec.faces.photo_files import is_complete_png
from imagefec.fec import rater_source

LAYOUTS = ("triplets", "faces", "index")
# What one example is made of: a row or, for "faces", a face; and the PNG paths of its faces.
PlannedExample = tuple[fec_csv.Row | fec_csv.FaceRef, tuple[Path, ...]]


@dataclasses.dataclass
class FecSplitReport:
    """How many csv rows of a split become triplets and why others do not, the same in any layout.

    Attributes:
      csv: name of the file.
      rows: rows of the file.
      examples: triplets.
      faces: distinct faces in the triplets.
      dropped: other rows by reason.
      raters: who judged the triplets, as `fec.rater_source` says; None if nobody.
    """

    csv: str
    rows: int = 0
    examples: int = 0
    faces: int = 0
    dropped: Counter[str] = dataclasses.field(default_factory=Counter)
    raters: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The report as JSON values, reasons sorted by name."""
        return {**dataclasses.asdict(self), "dropped": dict(sorted(self.dropped.items()))}

    def __str__(self) -> str:
        reasons = ", ".join(f"{n} {reason}" for reason, n in self.dropped.most_common()) or "none"
        built = f"{self.examples} of {self.rows} triplets built, {self.faces} faces"
        return f"{self.csv}: {built}; dropped: {reasons}"


def plan_split(
    layout: str,
    csv_path: Path,
    faces: Mapping[str, face_folder.FaceRecord],
    exclusion: Exclusion,
) -> tuple[list[PlannedExample], FecSplitReport]:
    """Selects the examples of a split; all errors of the csv file are raised here, before any work.

    The list takes about 0.8 kB per triplet: rows share their faces and raters.

    Args:
      layout: one of LAYOUTS. "triplets": complete triplets; "faces": each of their faces once, in
        the order of first mention; "index": triplets with the ids of their faces.
      csv_path: one of FEC's csv files.
      faces: outcome of each face, by face id.
      exclusion: URLs and face ids that must not be used.

    Returns:
      (planned, report): the arguments of `make_example` in the order of the csv file, and counts.

    Raises:
      UserError: a face is not in `faces` (crop has not seen this csv file), or no row is usable.
    """
    report = FecSplitReport(csv_path.name)
    triplets: list[PlannedExample] = []
    planned_faces: dict[str, PlannedExample] = {}
    distinct: dict[fec_csv.FaceRef, fec_csv.FaceRef] = {}
    annotators: set[str] = set()
    for row, paths in _usable_rows(csv_path, faces, report, exclusion):
        annotators.update(row.annotators)
        for face, path in zip(row.faces, paths):
            planned_faces.setdefault(face.face_id, (face, (path,)))
        if layout != "faces":
            first, second, third = (distinct.setdefault(face, face) for face in row.faces)
            triplets.append((dataclasses.replace(row, faces=(first, second, third)), paths))
    report.faces, report.raters = len(planned_faces), rater_source(annotators)
    return (list(planned_faces.values()) if layout == "faces" else triplets), report


def plan_from_files(
    layout: str, exclusion: Exclusion, files: tuple[Path, Path]
) -> list[PlannedExample]:
    """As `plan_split`, from paths only: small enough to be sent to a Beam worker.

    Args:
      layout: as for `plan_split`.
      exclusion: as for `plan_split`.
      files: (csv file, folder of the faces).
    """
    csv_path, faces_dir = files
    return plan_split(layout, csv_path, face_folder.read_faces(faces_dir), exclusion)[0]


def make_example(layout: str, planned: PlannedExample) -> tuple[int | str, dict[str, Any]]:
    """Makes an example; only this step reads PNG files.

    Args:
      layout: as for `plan_split`.
      planned: an item of its list.

    Returns:
      (key, example): the key is the row's line in the csv file or, for "faces", the face id. The
      example is that of `triplet_example`, `index_example` or `face_example`.

    Raises:
      UserError: a PNG is damaged or missing.
    """
    source, paths = planned
    if isinstance(source, fec_csv.FaceRef):
        return source.face_id, face_example(source, read_png(paths[0]))
    if layout == "index":
        return source.line, index_example(source)
    return source.line, triplet_example(source, tuple(read_png(path) for path in paths))


def triplet_example(row: fec_csv.Row, pngs: tuple[bytes, ...]) -> dict[str, Any]:
    """Makes the example of a labelled row with its faces.

    Args:
      row: its `odd` is not None.
      pngs: the PNG files of its three faces, used unchanged.

    Returns:
      As `index_example`, and
      image_a, image_b, image_c: PNG bytes;
      urls: three str;
      boxes: float32 [3, 4], (left, right, top, bottom) in fractions of the photo.
    """
    return {
        **{f"image_{x}": png for x, png in zip("abc", pngs)},
        **index_example(row),
        "urls": [face.url for face in row.faces],
        "boxes": np.array([face.box.sides for face in row.faces], np.float32),
    }


def index_example(row: fec_csv.Row) -> dict[str, Any]:
    """Makes the example of a labelled row without images, URLs and boxes.

    Args:
      row: its `odd` is not None.

    Returns:
      type: one of fec.TYPE_KEYS;
      odd: 0, 1 or 2, the face that most annotators found least like the others;
      votes: list of int, the choice of each annotator;
      annotators: list of str;
      agreement: fraction of the choices for `odd`, in (1/3, 1];
      face_ids: three str;
      line: of the csv file.
    """
    return {
        "type": row.type.key,
        "odd": row.odd,
        "votes": list(row.choices),
        "annotators": list(row.annotators),
        "agreement": row.agreement,
        "face_ids": [face.face_id for face in row.faces],
        "line": row.line,
    }


def face_example(face: fec_csv.FaceRef, png: bytes) -> dict[str, Any]:
    """Makes the example of a face.

    Args:
      face: of the csv file.
      png: its PNG file, used unchanged.

    Returns:
      image: PNG bytes; face_id, url: str; box: float32 [4], as `triplet_example`.
    """
    return {
        "image": png,
        "face_id": face.face_id,
        "url": face.url,
        "box": np.array(face.box.sides, np.float32),
    }


def read_png(path: Path) -> bytes:
    """Reads a face's PNG and checks, without decoding, that it is complete and 128 x 128 RGB.

    Args:
      path: of the PNG.

    Raises:
      UserError: the file is damaged or missing.
    """
    try:
        if path.exists() and not path.is_file():  # opening a pipe would block
            raise UserError(
                f"{path}: not a file, although faces.csv lists it. Delete it and run `imagefec "
                "crop` again."
            )
        png = path.read_bytes()
    except OSError as error:
        raise UserError(
            f"{path}: {error.strerror}, although faces.csv lists it. Run `imagefec crop` again."
        ) from None
    if not is_complete_png(png):
        raise UserError(
            f"{path}: not a complete PNG file ({len(png)} bytes). Delete it and run `imagefec "
            "crop` again."
        )
    width, height, depth, colour = struct.unpack(">IIBB", png[16:26])
    if (width, height, depth, colour) != (FACE_PX, FACE_PX, 8, 2):
        raise UserError(
            f"{path}: {width} x {height} pixels, bit depth {depth}, colour type {colour}; a face "
            f"is {FACE_PX} x {FACE_PX}, 8 bits, RGB (type 2). Delete it and run `imagefec crop` "
            "again."
        )
    return png


def _usable_rows(
    csv_path: Path,
    faces: Mapping[str, face_folder.FaceRecord],
    report: FecSplitReport,
    exclusion: Exclusion,
) -> Iterator[tuple[fec_csv.Row, tuple[Path, ...]]]:
    """Yields (row, PNG paths) of the rows with an odd face and three faces that may be used.

    Bad rows are counted and skipped: crop has already refused them, unless its user allowed them.
    """
    rows = fec_csv.RowReport()
    for row in fec_csv.read_rows(csv_path, report=rows, skip_bad_rows=True):
        face_ids = [face.face_id for face in row.faces]
        try:
            records = [faces[face_id] for face_id in face_ids]
        except KeyError as missing:
            raise _not_cropped(csv_path, row.line, missing.args[0]) from None
        report.rows += 1
        reason = _why_dropped(row, face_ids, records, exclusion)
        if reason is not None:
            report.dropped[reason] += 1
            continue
        report.examples += 1
        yield row, tuple(record.path for record in records if record.path is not None)
    if rows.n_refused:
        report.rows += rows.n_refused
        report.dropped["bad row"] = rows.n_refused
    if not report.examples:
        raise UserError(
            f"{csv_path}: none of its {report.rows} triplets can be built: {dict(report.dropped)}. "
            "Each requires three cropped faces and choices without a tie. See report.json beside "
            "faces.csv."
        )


def _why_dropped(
    row: fec_csv.Row,
    face_ids: list[str],
    records: list[face_folder.FaceRecord],
    exclusion: Exclusion,
) -> str | None:
    """As `why_lost`, counting also the faces that are excluded here; None if usable."""
    reasons = (
        EXCLUDED if exclusion.excludes(face.url, face_id) else record.reason
        for face, face_id, record in zip(row.faces, face_ids, records)
    )
    return why_lost(row.why_unlabelled, reasons)


def _not_cropped(csv_path: Path, line: int, face_id: str) -> UserError:
    return UserError(
        f"{csv_path}, line {line}: faces.csv does not list face {face_id!r}. Crop has not "
        f"finished, or has not seen this file. Run `imagefec crop {csv_path} ...` with the same "
        "--faces, which resumes, or remove the csv file from the manual directory to build only "
        "the other split."
    )
