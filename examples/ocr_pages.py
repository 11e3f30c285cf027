"""Reading pages: the models are loaded once in each worker, and the lines of all pages that wait are read together.

make example NAME=ocr_pages
"""

from __future__ import annotations

import io
import itertools
import random
import time

import numpy as np
from PIL import Image, ImageDraw, ImageFont, UnidentifiedImageError
from rapidocr_onnxruntime import RapidOCR

import pullet
from pullet_workers import Pool

WORDS = """a warm engine pulls its next job from the stream while nobody waits behind a slow page and each line that
was read goes home before the evening train leaves the station in heavy rain"""
LINES = 6

pullet.register_error(UnidentifiedImageError)  # the worker's comes back as itself, not as a RemoteError


class Ocr:
    """Finds the lines of text on a page, then reads them. The weights come with the package, 16 MB."""

    def __init__(self) -> None:
        # One thread, since there is a worker for each core; and our pages need not be enlarged to find lines on them.
        self._ocr = RapidOCR(intra_op_num_threads=1, rec_batch_num=16, det_limit_side_len=320)

    @pullet.batch(max_batch_size=4, batch_wait_timeout_s=0.01)
    def read(self, pages: list[bytes]) -> list[list[str]]:
        """Callers send one page each. One that is no picture fails alone: the others are then tried without it."""
        found = [self._find_lines(page) for page in pages]
        read, _seconds = self._ocr.text_rec(list(itertools.chain(*found)))
        texts = iter(text for text, _score in read)
        return [list(itertools.islice(texts, len(lines))) for lines in found]

    def _find_lines(self, page: bytes) -> list[np.ndarray]:
        picture = np.asarray(Image.open(io.BytesIO(page)).convert("RGB"))
        boxes, _seconds = self._ocr.auto_text_det(picture)
        return [] if boxes is None else self._ocr.get_crop_img_list(picture, boxes)


def draw(lines: list[str]) -> bytes:
    """A page as a PNG."""
    picture = Image.new("RGB", (640, 50 * len(lines) + 40), "white")
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(size=28)
    for number, line in enumerate(lines):
        pen.text((20, 20 + 50 * number), line, fill="black", font=font)
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def main(count: int = 16) -> None:
    dice = random.Random(4)
    texts = [[" ".join(dice.choices(WORDS.split(), k=6)) for _ in range(LINES)] for _ in range(count)]
    pages = [draw(lines) for lines in texts]
    with Pool(Ocr, workers=2) as pool:
        start = time.perf_counter()
        read = list(pool.map(Ocr.read, pages, progress=True))
        seconds = time.perf_counter() - start
        spoilt = pool.submit(Ocr.read, b"coffee").exception()
    pairs = zip(itertools.chain(*texts), itertools.chain(*read), strict=True)
    right = sum(drawn.replace(" ", "") == said.replace(" ", "") for drawn, said in pairs)  # it loses some blanks
    print("drawn:", texts[0][0])
    print("read: ", read[0][0])
    print(f"{right} of {LINES * count} lines have all their letters, {count / seconds:.1f} pages a second")
    print("a page that is none:", type(spoilt).__name__)


if __name__ == "__main__":
    main()
