"""Semantic features from texts: TF-IDF with truncated SVD (offline), or a sentence encoder (extra `text`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from licap.config import TextConfig
from licap.errors import DataError

# Rarer words than this and more words than that tell little and cost memory.
_LEAST_TEXTS, _MOST_WORDS = 2, 50_000
# Fixed: which basis the randomised SVD starts from is no setting.
_SVD_SEED = 0
_SVD_ITERATIONS = 7
_SENTENCES_AT_ONCE = 1024


def semantic_features(
    texts: Sequence[str], config: TextConfig, *, progress: Callable[[str], None]
) -> NDArray[np.float32]:
    """Embeds one text per node.

    Returns: [N, D] float32. `tfidf`: D is config.dim, latent semantic analysis (Deerwester et al., 1990), zero
    rows for texts without a known word, zero columns where words or texts are fewer. `sentence`: D is the
    encoder's width.
    Raises: DataError where no text has a word, or the encoder is not there.
    """
    if not any(text.strip() for text in texts):
        raise DataError(
            f"semantic features need texts, and all {len(texts)} are empty. Add descriptions to the data, give "
            "data.semantic_file, or set data.features to struct."
        )
    return _ENCODERS[config.encoder](texts, config, progress)


def _tfidf(texts: Sequence[str], config: TextConfig, progress: Callable[[str], None]) -> NDArray[np.float32]:
    from sklearn.utils.extmath import randomized_svd
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    words = _weigh_words(texts)
    width = min(config.dim, *words.shape)
    progress(f"TF-IDF: {words.shape[1]:,} words in {words.shape[0]:,} texts, SVD to {width} columns")
    features = np.zeros((len(texts), config.dim), dtype=np.float32)
    # How many threads BLAS has decides about last digits; with one, every setting of the machine gives the same.
    with threadpool_limits(1):
        left, spread, _ = randomized_svd(words, width, n_iter=_SVD_ITERATIONS, random_state=_SVD_SEED)
    features[:, :width] = left * spread
    return features


def _weigh_words(texts: Sequence[str]) -> Any:
    """[N, words] sparse TF-IDF; rare words stay out unless there are only rare ones. Raises: DataError."""
    from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer

    for least in (_LEAST_TEXTS, 1):
        # Words of one letter count: there are scripts and data sets where they mean something.
        vectorizer = CountVectorizer(min_df=least, token_pattern=r"(?u)\b\w+\b", dtype=np.float64)
        try:
            counts = vectorizer.fit_transform(texts)
        except ValueError:
            # No word is left: all are rare, or there are none.
            continue
        return TfidfTransformer(sublinear_tf=True).fit_transform(_most_frequent(counts))
    raise DataError(
        "semantic features need words, and the texts hold only signs. Give data.semantic_file, or set data.features "
        "to struct."
    )


def _most_frequent(counts: Any) -> Any:
    """The columns of the most frequent words; of equally frequent ones the first in the alphabet.

    scikit-learn's own choice among these depends on the CPU's vector instructions.
    """
    total = np.asarray(counts.sum(axis=0)).ravel()
    if total.size <= _MOST_WORDS:
        return counts
    return counts[:, np.sort(np.argsort(-total, kind="stable")[:_MOST_WORDS])]


def _sentence(texts: Sequence[str], config: TextConfig, progress: Callable[[str], None]) -> NDArray[np.float32]:
    encoder = _load_encoder(config.model)
    parts = []
    for first in range(0, len(texts), _SENTENCES_AT_ONCE):
        batch = list(texts[first : first + _SENTENCES_AT_ONCE])
        parts.append(np.asarray(encoder.encode(batch, show_progress_bar=False), dtype=np.float32))
        progress(f"{config.model}: {first + len(batch):,} of {len(texts):,} texts")
    return np.concatenate(parts)


def _load_encoder(model: str) -> Any:
    """Raises: DataError where the library or the model is missing."""
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise DataError(
            f"data.text.encoder is sentence, but sentence-transformers cannot be imported ({error}). "
            "Run pip install 'licap-search[text]', or set data.text.encoder to tfidf."
        ) from None
    try:
        return SentenceTransformer(model, device="cpu")
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DataError(
            f"data.text.model: the sentence encoder {model!r} cannot be loaded ({reason}). Give the folder of a "
            "downloaded model, connect to the network once, or set data.text.encoder to tfidf."
        ) from None


_ENCODERS: Mapping[str, Callable[[Sequence[str], TextConfig, Callable[[str], None]], NDArray[np.float32]]] = {
    "tfidf": _tfidf,
    "sentence": _sentence,
}
