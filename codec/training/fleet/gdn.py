"""GDN with half the memory traffic: bfloat16 throughout, two saved tensors, gradients in closed form.

y = x / sqrt(beta + gamma x^2), or x * sqrt(beta + gamma x^2) on the way back. On a CUDA device the
element-wise parts are kernels compiled at run time where that works and gives what the plain ones give, else
plain torch."""

from __future__ import annotations

import types

import torch
from torch import Tensor, nn

_BODIES = {
    "apply": ("x", "float(x) * rsqrtf(float(s))"),
    "apply_inverse": ("x", "float(x) * sqrtf(float(s))"),
    "slope": ("g x", "-0.5f * float(g) * float(x) * rsqrtf(float(s)) * rsqrtf(float(s)) * rsqrtf(float(s))"),
    "slope_inverse": ("g x", "0.5f * float(g) * float(x) * rsqrtf(float(s))"),
    "join": ("g x", "float(g) * rsqrtf(float(s)) + 2.0f * float(x) * float(t)"),
    "join_inverse": ("g x", "float(g) * sqrtf(float(s)) + 2.0f * float(x) * float(t)"),
}  # name: inputs before s (and t), what they become


def _source(name: str) -> str:
    before, body = _BODIES[name]
    inputs = [*before.split(), "s", *(["t"] if name.startswith("join") else [])]
    arguments = ", ".join(f"T {part}" for part in inputs)
    return f"template <typename T> T gdn_{name}({arguments}) {{ return T({body}); }}"


PLAIN = {
    "apply": lambda x, s: x * torch.rsqrt(s),
    "apply_inverse": lambda x, s: x * torch.sqrt(s),
    "slope": lambda g, x, s: -0.5 * g * x * torch.rsqrt(s) / s,
    "slope_inverse": lambda g, x, s: 0.5 * g * x * torch.rsqrt(s),
    "join": lambda g, x, s, t: torch.addcmul(g * torch.rsqrt(s), x, t, value=2),
    "join_inverse": lambda g, x, s, t: torch.addcmul(g * torch.sqrt(s), x, t, value=2),
}
_kernels = dict(PLAIN)


def compile_kernels(device: torch.device) -> bool:
    """Use kernels compiled at run time on this device if they work there; returns whether they do."""
    try:
        compiled = {name: torch.cuda.jiterator._create_jit_fn(_source(name)) for name in PLAIN}
        g, x, t = (torch.randn(64, 32, device=device, dtype=torch.bfloat16) for _ in range(3))
        s = torch.rand(64, 32, device=device).add(0.5).bfloat16()
        for name, kernel in compiled.items():
            given = {"apply": (x, s), "slope": (g, x, s), "join": (g, x, s, t)}[name.split("_")[0]]
            if not torch.allclose(
                kernel(*given).float(), PLAIN[name](*(v.float() for v in given)), rtol=0.05, atol=0.05
            ):
                return False
        torch.cuda.synchronize()
    except Exception as error:  # whatever fails in a compiler of another machine: the plain ones are there
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
        print(f"note: GDN runs in plain torch ({reason})", flush=True)
        return False
    _kernels.update(compiled)
    return True


class _Normalise(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, gamma: Tensor, beta: Tensor, inverse: bool) -> Tensor:
        """x: [P, C]. gamma: [C, C], beta: [C], float32 parameters that are used in x's type."""
        weight = gamma.to(x.dtype)
        s = torch.addmm(beta.to(x.dtype), x * x, weight.t())
        ctx.save_for_backward(x, s, weight)
        ctx.end = "_inverse" if inverse else ""
        return _kernels["apply" + ctx.end](x, s)

    @staticmethod
    def backward(ctx, g: Tensor):
        x, s, weight = ctx.saved_tensors
        slope = _kernels["slope" + ctx.end](g, x, s)
        gamma = slope.t() @ (x * x)
        return (
            _kernels["join" + ctx.end](g, x, s, slope @ weight),
            gamma.float(),
            slope.sum(0, dtype=torch.float32),
            None,
        )


def _forward(self: nn.Module, x: Tensor) -> Tensor:
    kind = torch.get_autocast_dtype(x.device.type) if torch.is_autocast_enabled(x.device.type) else x.dtype
    beta, gamma = self.beta_reparam(self.beta), self.gamma_reparam(self.gamma)
    batch, channels, height, width = x.shape
    rows = x.to(kind).permute(0, 2, 3, 1).reshape(-1, channels).contiguous()
    with torch.autocast(x.device.type, enabled=False):
        out = _Normalise.apply(rows, gamma, beta, self.inverse)
    return out.reshape(batch, height, width, channels).permute(0, 3, 1, 2)


def use_fast_gdn(net: nn.Module) -> None:
    """Let every GDN of the network, CompressAI's module, run this way. The parameters stay what they are."""
    for module in net.modules():
        if type(module).__name__ == "GDN":
            module.forward = types.MethodType(_forward, module)
