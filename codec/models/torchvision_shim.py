"""Let `import torchvision` succeed where its wheel lacks the compiled operators.

CompressAI imports torchvision, whose import registers fake kernels for the operators `nms` and `qnms`. Some
CPU-only builds of torch pair with a torchvision wheel whose compiled operators do not load there, and the
import fails on `torchvision::nms`. Declaring the two schemas first mends it. Nothing here calls them: this
project uses no detection operator.

Call `ensure_torchvision_imports()` before the first `import compressai`. It changes nothing where torchvision
imports by itself."""

from __future__ import annotations

import sys

_kept: list[object] = []  # the library of the schemas: torch forgets them with it


def ensure_torchvision_imports() -> bool:
    """Import torchvision, declaring the missing operator schemas if that is what stops it; return whether it
    was needed."""
    if "torchvision" in sys.modules:
        return bool(_kept)
    try:
        import torchvision
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
    else:
        return False
    import torch

    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]
    library = torch.library.Library("torchvision", "FRAGMENT")
    _kept.append(library)
    library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import torchvision  # noqa: F401

    return True
