"""From FEC's csv rows and crop's face files to the examples of the `fec` dataset; knows nothing of TFDS.

Reading the csv itself is `fec_csv`, making the face files is `face_files`, writing records is the
builder's. `list_work` names what an example needs, `do_work` makes it, here or anywhere the files
are seen.
"""

from __future__ import annotations

import dataclasses
import json
import os
import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from imagefec.data import fec_csv
from imagefec.data.crop import face_folder
from imagefec.data.exclusion import EXCLUDED, Exclusion
from imagefec.errors import UserError
from imagefec.faces.crop import FACE_PX
from imagefec.fec import SPLITS, csv_file_name

LAYOUTS = ("triplets", "faces", "index")
CSV_NAMES = {split: csv_file_name(split) for split in SPLITS}

HOW_TO_FILL = """\
The manual directory of `fec` (DIR below) holds FEC's csv files and the faces cut out of their photographs:

  DIR/faceexp-comparison-data-train-public.csv    from FEC_dataset.zip (DIR/FEC_dataset/... will do as well)
  DIR/faceexp-comparison-data-test-public.csv
  DIR/faces/                                      made by `imagefec crop`

Get the zip from https://ai.google/tools/datasets/google-facial-expression/ and unpack it in DIR, then:

  imagefec fetch DIR/FEC_dataset/*.csv --cache CACHE
  imagefec crop DIR/FEC_dataset/*.csv --cache CACHE --faces DIR/faces
  tfds build tfds_builders/fec --manual_dir=DIR --data_dir=DATA

(No photographs at hand: `imagefec draw DIR` makes csv files of the same form with drawn faces.)
With only one of the csv files in DIR, only its split is built. DIR/exclude.txt, where it is there, lists URLs and face ids,
one a line, of what is not to be built."""


@dataclasses.dataclass(frozen=True)
class ManualFiles:
    """What a manual directory holds: the csv file of each split that is there, and the folder of faces."""

    csv_paths: dict[str, Path]
    faces_dir: Path


@dataclasses.dataclass
class SplitReport:
    """How many csv rows of a split are triplets of the dataset, and why the others are not; the same for every layout."""

    csv: str
    rows: int = 0
    examples: int = 0  # triplets
    faces: int = 0  # distinct ones, in the triplets
    dropped: Counter[str] = dataclasses.field(default_factory=Counter)

    def as_json(self) -> dict[str, Any]:
        """The report as plain json values, reasons sorted by name."""
        return {**dataclasses.asdict(self), "dropped": dict(sorted(self.dropped.items()))}

    def __str__(self) -> str:
        reasons = ", ".join(f"{n} {reason}" for reason, n in self.dropped.most_common()) or "none"
        built = f"{self.examples} of {self.rows} triplets built, {self.faces} faces"
        return f"{self.csv}: {built}; dropped: {reasons}"


def find_manual_files(manual_dir: str | os.PathLike[str]) -> ManualFiles:
    """Finds the csv files and the faces in a manual directory.

    Args:
      manual_dir: the directory; the csv files lie in it or in its folder FEC_dataset.

    Returns:
      The files. A split whose csv is absent is absent from csv_paths; one at least is there.

    Raises:
      UserError: no csv file or no faces; the text says which, and how to make them.
    """
    root = Path(manual_dir)
    if not root.is_dir():
        raise UserError(f"{root} is not a directory.\n{HOW_TO_FILL}")
    csv_paths = {}
    for split, name in CSV_NAMES.items():
        found = [path for path in (root / name, root / "FEC_dataset" / name) if path.is_file()]
        if len(found) > 1:
            raise UserError(
                f"{found[0]} and {found[1]} are both there; keep the one that was cropped."
            )
        if found:
            csv_paths[split] = found[0]
    if not csv_paths:
        raise UserError(
            f"{root} holds neither {CSV_NAMES['train']} nor {CSV_NAMES['test']}.\n{HOW_TO_FILL}"
        )
    faces_dir = root / "faces"
    if not (faces_dir / "faces.csv").is_file():
        raise UserError(
            f"{faces_dir / 'faces.csv'} is not there: the faces have not been cut yet, or lie elsewhere.\n"
            f"{HOW_TO_FILL}"
        )
    return ManualFiles(csv_paths, faces_dir)


def read_settings(faces_dir: Path) -> dict[str, Any]:
    """What the faces were made with (detector, its version, min_score), as crop noted in settings.json."""
    path = faces_dir / "settings.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path}: {error}. `imagefec crop` writes it with faces.csv; run it again."
        ) from None


def report_on(
    csv_path: Path, faces: Mapping[str, face_folder.FaceRecord], exclusion: Exclusion
) -> SplitReport:
    """Goes through a csv file once, as `usable_rows` does; its errors come now, before anything is written."""
    report = SplitReport(csv_path.name)
    for _ in usable_rows(csv_path, faces, report, exclusion):
        pass
    return report


def usable_rows(
    csv_path: Path,
    faces: Mapping[str, face_folder.FaceRecord],
    report: SplitReport,
    exclusion: Exclusion,
) -> Iterator[tuple[fec_csv.Row, tuple[Path, Path, Path]]]:
    """Chooses the rows whose annotators agree on an odd one and whose three faces were kept and are not excluded.

    Rows that cannot be read are dropped and counted too: crop has already refused them, unless its
      user let
    them pass.

    Args:
      csv_path: one of FEC's csv files.
      faces: what crop noted on each face, by face id.
      report: filled while the rows are drawn, complete after the last.
      exclusion: URLs and face ids that are not to be used.

    Yields:
      (row, the files of its faces), in the order of the csv file.

    Raises:
      UserError: a face is not in `faces` (crop has not seen this csv), or not a single row was
        chosen.
    """
    rows = fec_csv.RowReport(str(csv_path))
    used: set[str] = set()
    for row in fec_csv.read_rows(csv_path, report=rows, skip_bad_rows=True):
        records = _records(row, faces, csv_path)
        reason = why_dropped(row, records, exclusion)
        report.rows += 1
        if reason is not None:
            report.dropped[reason] += 1
            continue
        report.examples += 1
        used.update(face.face_id for face in row.faces)
        report.faces = len(used)
        yield row, tuple(record.path for record in records)
    if rows.refused:
        report.rows += len(rows.refused)
        report.dropped["bad row"] = len(rows.refused)
    if not report.examples:
        raise UserError(
            f"{csv_path}: none of its {report.rows} triplets can be built: {dict(report.dropped)}. Each "
            "needs three faces that crop kept and annotators who agree; report.json with faces.csv says more."
        )


def list_work(layout: str, exclusion: Exclusion, files: tuple[Path, Path]) -> Iterator[tuple]:
    """What has to be done for the examples of a split, one after the other.

    Args:
      layout: "triplets", whole ones; "faces", each face of them once, when it is first mentioned;
        "index", triplets by the ids of their faces.
      exclusion: as for `usable_rows`.
      files: the csv file, and the folder of the faces.

    Yields:
      (row, the files of its faces) or, of "faces", (face, its file).

    Raises:
      UserError: as `usable_rows`.
    """
    csv_path, faces_dir = files
    rows = usable_rows(
        csv_path, face_folder.read_faces(faces_dir), SplitReport(csv_path.name), exclusion
    )
    return _each_face_once(rows) if layout == "faces" else rows


def do_work(layout: str, work: tuple) -> tuple[int | str, dict[str, Any]]:
    """Makes the example of an item of `list_work`: all that takes time.

    Returns:
      (key, example): the row's line in the csv file or, of a face, its id; the example is as
        `make_example`, `face_example`
      or `index_example` says.

    Raises:
      UserError: a face file is damaged or gone.
    """
    named, files = work
    if layout == "faces":
        return named.face_id, face_example(named, read_png(files))
    if layout == "index":
        return named.line, index_example(named)
    return named.line, make_example(named, tuple(read_png(path) for path in files))


def why_dropped(
    row: fec_csv.Row, records: tuple[face_folder.FaceRecord, ...], exclusion: Exclusion
) -> str | None:
    """Why a row makes no example: its votes, else an excluded face, else its first that was not kept; None if it makes one."""
    if row.why_unlabelled is not None:
        return row.why_unlabelled
    if any(exclusion.excludes(face.url, face.face_id) for face in row.faces):
        return EXCLUDED
    return next((record.reason for record in records if not record.kept), None)


def make_example(row: fec_csv.Row, faces: tuple[bytes, bytes, bytes]) -> dict[str, Any]:
    """Makes the example of a labelled row.

    Args:
      row: a row whose `odd` is not None.
      faces: the PNG files of its three faces, in the row's order; they pass through as they are.

    Returns:
      image_a, image_b, image_c: PNG bytes; type: str of fec.TYPE_KEYS; odd: 0, 1 or 2, the image that
        most
      annotators found least like the others; votes: list of int, the odd one of each annotator;
      annotators: list of str; agreement: share of the votes that the odd one got, in (1/3, 1];
      face_ids, urls: three str; boxes: float32 [3, 4], (left, right, top, bottom) in fractions of
        the
      photograph; line: of the csv file.
    """
    return {
        **{f"image_{x}": png for x, png in zip("abc", faces)},
        **index_example(row),
        "urls": [face.url for face in row.faces],
        "boxes": np.array([face.box.sides for face in row.faces], np.float32),
    }


def index_example(row: fec_csv.Row) -> dict[str, Any]:
    """Makes the example of a labelled row without images, urls and boxes; else as `make_example` does."""
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
    """Makes the example of a face: image, PNG bytes; face_id, url: str; box: float32 [4], as in `make_example`."""
    return {
        "image": png,
        "face_id": face.face_id,
        "url": face.url,
        "box": np.array(face.box.sides, np.float32),
    }


def read_png(path: Path) -> bytes:
    """Reads a face file and checks, without decoding it, that it is a whole 128 x 128 RGB PNG."""
    try:
        png = Path(path).read_bytes()
    except OSError as error:
        raise UserError(
            f"{path}: {error.strerror}, though faces.csv lists it. Run `imagefec crop` again."
        ) from None
    if not png.startswith(b"\x89PNG\r\n\x1a\n") or not png.endswith(b"IEND\xaeB`\x82"):
        raise UserError(
            f"{path}: not a whole PNG file ({len(png)} bytes). Delete it and run `imagefec crop` again."
        )
    width, height, depth, colour = struct.unpack(">IIBB", png[16:26])
    if (width, height, depth, colour) != (FACE_PX, FACE_PX, 8, 2):
        raise UserError(
            f"{path}: {width} x {height} pixels, bit depth {depth}, colour type {colour}; a face is "
            f"{FACE_PX} x {FACE_PX}, 8 bits, RGB (type 2). Delete it and run `imagefec crop` again."
        )
    return png


def _each_face_once(
    rows: Iterable[tuple[fec_csv.Row, tuple[Path, ...]]],
) -> Iterator[tuple[fec_csv.FaceRef, Path]]:
    seen: set[str] = set()
    for row, paths in rows:
        for face, path in zip(row.faces, paths):
            if face.face_id not in seen:
                seen.add(face.face_id)
                yield face, path


def _records(
    row: fec_csv.Row, faces: Mapping[str, face_folder.FaceRecord], csv_path: Path
) -> tuple[face_folder.FaceRecord, ...]:
    try:
        return tuple(faces[face.face_id] for face in row.faces)
    except KeyError as missing:
        raise UserError(
            f"{csv_path}, line {row.line}: faces.csv says nothing of face {missing}. Crop has not finished "
            f"or has not seen this file: run `imagefec crop {csv_path} ...` with the same --faces (it goes "
            "on where it stopped), or take the csv out of the manual directory to build the other split."
        ) from None
