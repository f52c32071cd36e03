"""Encoders and downstream models. Adding one is adding a file here, its config class, and its name to the config.

The files are found, not listed.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from licap.config import DownstreamConfig, PretrainConfig
from licap.graph import KnowledgeGraph
from licap.models.base import ENCODERS, MODELS, DownstreamModel, Encoder, FittedModel, Setting

__all__ = [
    "ENCODERS",
    "MODELS",
    "DownstreamModel",
    "Encoder",
    "FittedModel",
    "Setting",
    "build_encoder",
    "build_model",
]

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")


def build_encoder(
    config: PretrainConfig, in_dim: int, out_dim: int, graph_with_loops: KnowledgeGraph, backend: str
) -> Encoder:
    """The encoder that `config.encoder` names, float32, on the CPU."""
    return ENCODERS[config.encoder].build(
        config, in_dim=in_dim, out_dim=out_dim, graph=graph_with_loops, backend=backend
    )


def build_model(config: DownstreamConfig, setting: Setting) -> DownstreamModel | FittedModel:
    """The model that `config.model` names, float32, on the CPU."""
    return MODELS[config.model].build(config, setting)
