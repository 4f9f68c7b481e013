"""A client's live session: its frames in, its answers out. The transport is elsewhere."""

import logging
import time
from collections.abc import Callable
from typing import Any

from imagefec.serving.frames import FrameError, FrameReader
from imagefec.serving.live import messages
from imagefec.serving.live.rate import TokenBucket
from imagefec.serving.live.session import Session
from imagefec.serving.metrics import Metrics
from imagefec.serving.worker import Busy, Worker

MESSAGES_PER_S, BURST = 120.0, 240.0  # of one client; cameras give 60 pictures/s at most

_log = logging.getLogger(__name__)


class TooManyMessages(Exception):
    """A client sends more than MESSAGES_PER_S for long."""


class LiveSession:
    """A session with the means to read frames.

    Attributes:
      used_s: time of the last message.
    """

    def __init__(
        self,
        reader: FrameReader,
        worker: Worker,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reader, self._worker, self._metrics, self._clock = reader, worker, metrics, clock
        self._session = Session()
        self._rate = TokenBucket(MESSAGES_PER_S, BURST)
        self._seq = 0
        self.used_s = clock()

    def arrived(self, is_frame: bool) -> tuple[int, float]:
        """Registers a message; returns a frame's number and the time.

        Raises:
          TooManyMessages: see there.
        """
        self.used_s = self._clock()
        if not self._rate.take(self.used_s):
            raise TooManyMessages
        self._seq += is_frame
        return self._seq, self.used_s

    def request(self, text: str | bytes) -> dict[str, Any]:
        """Applies a request of messages.py and returns its answer."""
        d_embedding = self._reader.engine.d_embedding
        return messages.apply(self._session, text, d_embedding, self._clock())

    async def frame(self, data: bytes, seq: int, arrived_s: float) -> tuple[int, dict[str, Any]]:
        """Reads a frame when its turn comes.

        Args:
          data: the picture.
          seq: its number.
          arrived_s: when it came.

        Returns:
          HTTP status and answer; {"seq", "error"} for a picture that is refused.
        """
        try:
            face = await self._worker.run(self._reader.nearest_face, data)
        except FrameError as error:
            return error.status, self._refused(seq, str(error), arrived_s)
        except Busy:
            return 503, self._refused(seq, "too many clients; try again later", arrived_s)
        except Exception:
            _log.exception("a picture could not be read")  # the traceback holds no pixels
            return 500, self._refused(seq, "internal error; the server's log has it", arrived_s)
        reading = self._session.observe(face.embedding if face else None, arrived_s)
        took_s = self._clock() - arrived_s
        self._metrics.add_frame("face" if face else "no_face", took_s)
        box, score = (face.box, face.score) if face else (None, None)
        return 200, messages.frame_answer(seq, box, score, reading, 1000 * took_s)

    def _refused(self, seq: int, reason: str, arrived_s: float) -> dict[str, Any]:
        self._metrics.add_frame("refused", self._clock() - arrived_s)
        return {"seq": seq, "error": reason}
