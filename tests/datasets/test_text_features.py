"""Semantic features: the same everywhere, as wide as asked for, and clear words where texts or libraries lack."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from licap.config import TextConfig
from licap.datasets import text_features
from licap.datasets.text_features import semantic_features
from licap.errors import DataError

TEXTS = [
    "award-winning film director from the north",
    "award-winning film actor from the north",
    "port city on the southern coast",
    "market town on the southern coast",
    "",
]

DIGEST = """
import hashlib
from licap.config import SyntheticConfig, TextConfig
from licap.datasets.synthetic import generate
from licap.datasets.text_features import semantic_features
texts = generate(SyntheticConfig(num_nodes=400)).descriptions
features = semantic_features(texts, TextConfig(dim=32), progress=lambda _: None)
print(hashlib.sha256(features.tobytes()).hexdigest())
"""


def tfidf(texts: list[str], dim: int) -> np.ndarray:
    return semantic_features(texts, TextConfig(dim=dim), progress=lambda _: None)


def test_features_are_the_same_in_every_process() -> None:
    digests = {
        subprocess.run(
            [sys.executable, "-c", DIGEST],
            env=os.environ | {"PYTHONHASHSEED": hash_seed, "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed, threads in (("1", "1"), ("2", "2"))
    }
    assert len(digests) == 1


def test_texts_that_share_words_are_close() -> None:
    features = tfidf(TEXTS, 3)
    assert features[0] @ features[1] > 3 * abs(features[0] @ features[2])
    assert features[2] @ features[3] > 3 * abs(features[2] @ features[1])


@settings(max_examples=40, deadline=None)
@given(texts=st.lists(st.text(alphabet="ab é,.中", max_size=12), min_size=1, max_size=12), dim=st.integers(1, 20))
def test_width_is_what_was_asked_for(texts: list[str], dim: int) -> None:
    if not any(letter.isalnum() for text in texts for letter in text):
        texts = [*texts, "word"]
    features = tfidf(texts, dim)
    assert features.shape == (len(texts), dim)
    assert features.dtype == np.float32
    assert np.isfinite(features).all()


def test_a_text_without_words_gets_zeros() -> None:
    assert not tfidf(TEXTS, 4)[4].any()


def test_columns_beyond_the_rank_are_zero() -> None:
    features = tfidf(TEXTS, 40)
    assert features[:, 0].any()
    assert not features[:, len(TEXTS) :].any()


def test_of_equally_frequent_words_the_first_in_the_alphabet_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    # Thirty words twice each, one of them more often: a sort that is not stable would keep any of them.
    words = [f"w{n:02}" for n in range(30)]
    texts = [" ".join(reversed(words)), " ".join(words), "w29 w29"]
    monkeypatch.setattr(text_features, "_MOST_WORDS", 21)
    found = text_features._weigh_words(texts)
    kept = [" ".join(word for word in text.split() if word in [*words[:20], "w29"]) for text in texts]
    assert found.shape == (3, 21)
    assert np.array_equal(found.toarray(), text_features._weigh_words(kept).toarray())


def test_words_are_kept_where_all_are_rare() -> None:
    assert tfidf(["one", "two", "three"], 3).any(axis=1).all()


@pytest.mark.parametrize("texts", [[], ["", ""], ["  ", "\t"], ["—", "…, !"]])
@pytest.mark.parametrize("encoder", ["tfidf"])
def test_texts_without_words_are_refused_with_a_remedy(texts: list[str], encoder: str) -> None:
    with pytest.raises(DataError, match=r"data\.semantic_file.*data\.features to struct"):
        semantic_features(texts, TextConfig(encoder=encoder), progress=lambda _: None)


def test_a_missing_sentence_encoder_is_told_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    # None in sys.modules makes the import fail as it does where the library is absent.
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(DataError, match=r"pip install 'licap-search\[text\]'.*encoder to tfidf"):
        semantic_features(TEXTS, TextConfig(encoder="sentence"), progress=lambda _: None)


def test_progress_tells_how_much_there_is() -> None:
    said: list[str] = []
    semantic_features(TEXTS, TextConfig(dim=2), progress=said.append)
    assert "5 texts" in said[0]
