"""LICAP: label-informed contrastive pretraining for node importance estimation on knowledge graphs.

Names are resolved on first use, so that `import licap.config` stays free of torch.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from licap.config import TrialConfig
    from licap.graph import KnowledgeGraph
    from licap.ops import relation_attention
    from licap.trial import Report, Trial

__all__ = ["KnowledgeGraph", "Report", "Trial", "TrialConfig", "relation_attention"]
__version__ = "0.1.0"

# After each operation torch's OpenMP threads wait by spinning, for milliseconds, on cores that the threads of compiled
# kernels or of other trials could use. Read when torch is loaded; what the user has chosen stays.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "3000")

_HOMES = {
    "KnowledgeGraph": "licap.graph",
    "Report": "licap.trial",
    "Trial": "licap.trial",
    "TrialConfig": "licap.config",
    "relation_attention": "licap.ops",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'licap' has no attribute {name!r}")
