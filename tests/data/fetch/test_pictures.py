"""Photos of every format from a real server through fetch and crop: whole, truncated, hostile."""

import http.server
import threading

import numpy as np
import pytest
from PIL import Image

from imagefec.data.crop.stage import crop_faces, read_faces
from imagefec.data.fec_csv import FaceRef, Row, write_rows
from imagefec.data.fetch.config import FetchConfig
from imagefec.data.fetch.photo_cache.cache import Cache
from imagefec.data.fetch.stage import fetch_photos
from imagefec.faces.photos import read_photo
from imagefec.fec import TripletType
from imagefec.maths.geometry import Box
from tests.faces import pictures
from tests.faces.test_photo_files import many_scans

FETCHED = {name: case for name, case in pictures.CASES.items() if case.fetched}
QUICK = FetchConfig(workers=4, attempts=2, backoff_s=0.01, placeholder_urls=0)
COMPLETE = Box(0, 1, 0, 1)


class Photos:
    """A server of `files` by number, and the cache, csv file and faces of a test."""

    def __init__(self, folder, port):
        self.files, self.folder = {}, folder
        self.cache, self.faces = folder / "cache", folder / "faces"
        self.csv = folder / "faceexp-comparison-data-train-public.csv"
        self._root = f"http://127.0.0.1:{port}"

    def url(self, number):
        return f"{self._root}/{number}.jpg"

    def fetch(self, config=QUICK):
        faces = [FaceRef(self.url(number), COMPLETE) for number in self.files]
        faces += faces[-1:] * (-len(faces) % 3)
        rows = [
            Row(n // 3 + 1, tuple(faces[n : n + 3]), TripletType.ONE_CLASS, ("a",), (2,))
            for n in range(0, len(faces), 3)
        ]
        write_rows(self.csv, rows)
        return fetch_photos([self.csv], self.cache, config)

    def crop(self):
        """The outcomes by the number of the photo."""
        crop_faces([self.csv], self.cache, self.faces, detector="none", workers=1)
        records = read_faces(self.faces)
        return {
            number: records[FaceRef(self.url(number), COMPLETE).face_id] for number in self.files
        }


@pytest.fixture
def photos(tmp_path):
    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *args):
            pass

        def do_GET(self):
            body = served.files[int(self.path[1:].removesuffix(".jpg"))]
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        served = Photos(tmp_path, server.server_port)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield served
        server.shutdown()


def test_what_fetch_accepts_is_cropped_to_the_same_face(photos):
    stored = {}
    for name, case in FETCHED.items():
        for orientation in (1, 6) if case.turns else (1,):
            number = len(stored)
            photos.files[number] = pictures.file_of(case, pictures.astronaut(), orientation)
            stored[number] = name, orientation
    assert photos.fetch().n_ok == len(stored)
    for number, record in photos.crop().items():
        name, orientation = stored[number]
        face = np.asarray(Image.open(record.path)).astype(int)
        # FEC's boxes refer to the pixels as stored: crop does not turn photos.
        np.testing.assert_array_equal(face, read_photo(photos.files[number]))
        shown = FETCHED[name].shown(pictures.astronaut())
        if orientation == 6:
            shown = shown.transpose(pictures.STORED[6])
        assert np.abs(face - np.asarray(shown)).mean() <= FETCHED[name].tolerance, name


def test_a_photo_without_its_last_tenth_is_asked_for_again(photos):
    complete = [pictures.file_of(case, pictures.astronaut()) for case in FETCHED.values()]
    photos.files = {n: data[: len(data) * 9 // 10] for n, data in enumerate(complete)}
    report = photos.fetch()
    assert (report.n_ok, report.reasons) == (0, {"truncated image": len(complete)})
    reasons = {record.reason for record in photos.crop().values()}
    assert reasons == {"photo not fetched: truncated image"}
    photos.files = dict(enumerate(complete))
    assert photos.fetch().n_ok == len(complete)  # without --retry_failed
    assert all(record.kept for record in photos.crop().values())


def test_a_jpeg_of_many_scans_is_refused_and_its_reason_recorded(photos):
    photos.files = {n: pictures.file_of(FETCHED["JPEG"], pictures.astronaut()) for n in range(2)}
    photos.files[1] += b"x"  # other bytes, another photo
    photos.files[2] = many_scans(12_000, 8_000, 500)
    report = photos.fetch()
    assert (report.n_ok, report.reasons) == (2, {"too many scans": 1})
    # A cache that an earlier version filled may hold such a photo.
    with Cache(photos.cache) as cache:
        cache.photo_path(photos.url(1)).write_bytes(photos.files[2])
    outcomes = photos.crop()
    assert outcomes[0].kept
    assert outcomes[1].reason == "not a photo: too many scans"
    assert outcomes[2].reason == "photo not fetched: too many scans"
