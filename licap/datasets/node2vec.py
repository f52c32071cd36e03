"""Structure features by node2vec: biased random walks, then skip-gram with negative sampling by gensim.

Source: Grover & Leskovec, KDD 2016, with the negative sampling of Mikolov et al., NIPS 2013. One thread and seeded
throughout: the same graph, config and machine give the same bits, in any process.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from licap.config import Node2vecConfig
from licap.datasets.walks import Neighbours, random_walks, undirected_neighbours
from licap.graph import KnowledgeGraph

# Skip-gram as in word2vec's and node2vec's own code.
_NEGATIVE = 5
_FIRST_RATE, _LAST_RATE = 0.025, 0.0001

# Walks are made, learnt from and dropped in batches of so many nodes: memory stays bounded and Ctrl-C is heard.
_BATCH = 400_000
# gensim drops what follows the 10,000th word of a sentence.
_LONGEST_SENTENCE = 10_000
_SECONDS_BETWEEN_MESSAGES = 2.0


def structure_features(
    graph: KnowledgeGraph, config: Node2vecConfig, *, progress: Callable[[str], None]
) -> NDArray[np.float32]:
    """Embeds every node by the company it keeps on random walks.

    Edges count in both directions, parallel edges by their number; self loops are left out. progress: hears, every few
    seconds, the share done and the time left. Returns: [N, dim] float32; zero where a node has no neighbour.
    """
    neighbours = undirected_neighbours(graph)
    plan = _Plan(neighbours, config)
    features = np.zeros((graph.num_nodes, config.dim), dtype=np.float32)
    if plan.starts.size == 0:
        progress("node2vec: no edge joins two nodes; all structure features are zero")
        return features
    progress(f"node2vec: {config.num_walks} walks from each of {plan.starts.size:,} nodes")
    model = _new_model(plan)
    _learn(model, plan, progress)
    features[model.wv.index_to_key] = model.wv.vectors
    return features


@dataclass(frozen=True)
class _Plan:
    """Which walks are made, in which order and batches."""

    neighbours: Neighbours
    config: Node2vecConfig

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """Nodes that have a neighbour."""
        return np.flatnonzero(self.neighbours.degree)

    @property
    def num_walks(self) -> int:
        """Walks that skip-gram sees, each epoch's counted."""
        return int(self.starts.size) * self.config.num_walks * self.config.epochs

    def batches(self) -> Iterator[NDArray[np.int32]]:
        """Round after round, each node's walk in a new random order; every epoch has the same walks."""
        config, starts = self.config, self.starts
        size = max(1, _BATCH // config.walk_length)
        for epoch in range(config.epochs):
            for number in range(config.num_walks):
                order = np.random.Generator(np.random.PCG64([config.seed, epoch, number])).permutation(starts)
                for first in range(0, order.size, size):
                    yield random_walks(
                        self.neighbours,
                        order[first : first + size],
                        number=number,
                        length=config.walk_length,
                        p=config.p,
                        q=config.q,
                        seed=config.seed,
                    )


def _new_model(plan: _Plan) -> Any:
    """A skip-gram model whose words are node ids.

    The frequencies of words, which shape the draw of negatives, are degrees: where walks of p = q = 1 end up. That
    saves making all walks twice, and fixes the order of the vocabulary.
    """
    from gensim.models import Word2Vec

    config = plan.config
    model = Word2Vec(
        vector_size=config.dim,
        window=config.window,
        sg=1,
        hs=0,
        negative=_NEGATIVE,
        sample=0,
        min_count=1,
        workers=1,
        alpha=_FIRST_RATE,
        min_alpha=_LAST_RATE,
        seed=config.seed,
        hashfxn=_stable_hash,
        epochs=1,
        # Some versions sort by an algorithm that orders equal degrees as the CPU's instructions make it.
        sorted_vocab=0,
    )
    degree = plan.neighbours.degree
    by_degree = plan.starts[np.lexsort((-plan.starts, -degree[plan.starts]))]
    model.build_vocab_from_freq(dict(zip(by_degree.tolist(), degree[by_degree].tolist(), strict=True)))
    return model


def _stable_hash(word: object) -> int:
    """Stands in for `hash`, which differs from process to process."""
    return int(str(word))


def _learn(model: Any, plan: _Plan, progress: Callable[[str], None]) -> None:
    """One pass over all batches with a falling learning rate; gensim's threads end with each batch."""
    began = said = time.monotonic()
    done, total = 0, plan.num_walks
    for walks in plan.batches():
        sentences = _sentences(walks)
        model.train(
            sentences,
            total_examples=len(sentences),
            epochs=1,
            start_alpha=_rate(done / total),
            end_alpha=_rate((done + len(walks)) / total),
        )
        done += len(walks)
        now = time.monotonic()
        if now - said >= _SECONDS_BETWEEN_MESSAGES and done < total:
            said = now
            progress(f"node2vec: {done / total:.0%}, {(now - began) / done * (total - done):.0f} s left")
    progress(f"node2vec: done in {time.monotonic() - began:.0f} s")


def _sentences(walks: NDArray[np.int32]) -> list[list[int]]:
    """Walks as lists of words no longer than gensim reads."""
    pieces = range(0, walks.shape[1], _LONGEST_SENTENCE)
    return [words for first in pieces for words in walks[:, first : first + _LONGEST_SENTENCE].tolist()]


def _rate(share: float) -> float:
    return _FIRST_RATE + (_LAST_RATE - _FIRST_RATE) * share
