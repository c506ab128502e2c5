"""Import CompressAI without what nothing here calls.

Its package imports data sets and transforms of point clouds, and with them torch_geometric, torchvision,
pandas and requests: two and a half seconds in every process of a run, where the rest takes a fraction of one.
While it is imported, empty modules stand in for these parts; afterwards they are taken away, so that whoever
asks for one has the real one. So does one for scipy.stats, half a second, of which a single quantile of the
normal distribution is asked: scipy.special has the same.

Call `ensure_compressai()` before the first `import compressai`."""

from __future__ import annotations

import functools
import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING

from scipy.special import ndtri

if TYPE_CHECKING:
    from torch import Tensor, nn

_LEFT_OUT = ("compressai.datasets", "compressai.transforms")
_STATISTICS = "scipy.stats"
_REGISTRY = "compressai.registry.transforms"  # of names; the classes are torchvision's and torch_geometric's


def ensure_compressai() -> None:
    """Import it, if nobody has."""
    if "compressai" in sys.modules:
        return
    stands_in = {name: ModuleType(name) for name in (*_LEFT_OUT, _REGISTRY)}
    if _STATISTICS not in sys.modules:
        stands_in[_STATISTICS] = ModuleType(_STATISTICS)
    stands_in[_REGISTRY].__dict__.update(TRANSFORMS={}, register_transform=lambda _name: lambda found: found)
    sys.modules.update(stands_in)
    try:
        package = importlib.import_module("compressai")
    finally:
        for name in stands_in:
            del sys.modules[name]
    for name in _LEFT_OUT:
        delattr(package, name.rpartition(".")[2])
    from compressai.entropy_models import GaussianConditional

    GaussianConditional._standardized_quantile = staticmethod(ndtri)


def fill_gaussian_tables(net: nn.Module) -> None:
    """Give its Gaussian conditionals that have no tables those that CompressAI's `net.update()` would.

    They are the same for all, but are computed there one by one, a quarter of a second for elic's."""
    from compressai.entropy_models import GaussianConditional

    for module in net.modules():
        if isinstance(module, GaussianConditional) and not module._offset.numel():
            for name, table in _gaussian_tables(module.tail_mass, module.entropy_coder_precision).items():
                setattr(module, name, table.clone())


@functools.cache
def _gaussian_tables(tail_mass: float, precision: int) -> dict[str, Tensor]:
    """The buffers of a Gaussian conditional over CompressAI's own scales."""
    from compressai.entropy_models import GaussianConditional
    from compressai.models.base import get_scale_table

    made = GaussianConditional(None, tail_mass=tail_mass, entropy_coder_precision=precision)
    made.update_scale_table(get_scale_table())
    return {name: getattr(made, name) for name in ("scale_table", "_quantized_cdf", "_offset", "_cdf_length")}
