"""Golden digests: what rounds of a constellation put on the downlink, and what the ground makes of it, byte
for byte.

    python -m tests.golden.freeze check=all    # every case against digests.json (check=some: as the tests)
    python -m tests.golden.freeze write=all    # freeze today's behaviour
    python -m tests.golden.freeze full=FOLDER  # pixels to pixels, shipped weights: digests here, bytes there

Goldens hold on every machine: latents are synthetic multiples of 1/64 (g_a is float32 and is left out), h_a
of the tiny checkpoints adds two terms at most, and what follows is integer arithmetic or float64 in a fixed
order. `full` holds on one machine alone.

Not covered, as they are float32 sums: g_a, g_s, `codec.portable=false`. `dlrc.rotation=dense` is a float32
product; its case is chosen so that no two candidates for a largest component come closer than 1e-4 of it.
`map_coding=lzma` rests on liblzma's encoder."""

from __future__ import annotations

import hashlib
import json
import lzma
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.golden.adapter import Flown, Ground, Refused, fly, fly_for_real, sections
from tests.golden.field import view

HERE = Path(__file__).parent
DIGESTS = HERE / "digests.json"
MODELS = {"bmshj": 24, "mbt": 24, "cheng": 16, "elic": 24}  # latent channels
BASE = ("satellites=4", "rounds=1", "seed=3", "capture.patch_px=128", "capture.window_px=256", "dlrc.k=6")
PARTIAL = ("topology.max_distance_km=750", "satellites=6")  # nobody hears satellite 1, not even over relays
PAIRS = ("topology.max_distance_km=700", "satellites=6")  # two pairs, two that are alone
ONE_SIDED = {
    0: (0, 1),
    1: (0, 1, 2),
    2: (1, 2, 3),
    3: (0, 3),
}  # who hears whom: owners hear satellites that their followers do not
SCENE = "grey.png"


@dataclass(frozen=True)
class Case:
    """One round: the family of its checkpoint, the scenario's words, whether the ground repairs what it
    lacks, and who hears whom if links don't tell."""

    name: str
    model: str
    words: tuple[str, ...]
    halo_px: int = 0
    repair: bool = False
    hearing: Mapping[int, tuple[int, ...]] | None = None


def matrix() -> Iterator[Case]:
    """4 models x 2 grids x 3 contexts x 2 halos."""
    for model in MODELS:
        for grid in ("fixed", "centred"):
            for context in ("exact", "independent", "open"):
                for halo in (0, 48):
                    yield Case(
                        f"{model}-{grid}-{context}-halo{halo}",
                        model,
                        (f"codec.grid={grid}", f"codec.context={context}"),
                        halo,
                    )


VARIANTS: dict[str, tuple[str, ...]] = {
    "content": ("dlrc.signature=content",),
    "direction": ("dlrc.magnitude=false", "dlrc.k=3"),
    "original": ("dlrc.representative=original",),
    "dense_rotation": ("dlrc.rotation=dense",),
    "lzma": ("dlrc.map_coding=lzma",),
    "footprint": ("dlrc.dedup=footprint",),
    "footprint_content": ("dlrc.dedup=footprint", "dlrc.signature=content"),
    "link": ("priority.rule=link",),
    "energy": ("priority.rule=energy",),
    "random": ("priority.rule=random",),
    "balanced": ("priority.rule=balanced", "codec.context=independent"),
    "balanced_exact": ("priority.rule=balanced",),
    "disabled": ("dlrc.enabled=false",),
    "k20": ("dlrc.k=20",),
    "partial": PARTIAL,
    "partial_random": (*PARTIAL, "priority.rule=random"),
    "partial_balanced": (*PARTIAL, "priority.rule=balanced", "codec.context=independent"),
    "partial_content": (*PARTIAL, "dlrc.signature=content"),
    "pairs": PAIRS,
    "grid_links": ("topology.rule=grid", "sync.schedule=ring"),
}
ONE_SIDED_RULES: dict[str, tuple[str, ...]] = {
    "one_sided": (),
    "one_sided_direction": VARIANTS["direction"],
    "one_sided_content": VARIANTS["content"],
    "one_sided_balanced": VARIANTS["balanced"],
}
REPAIRS: dict[str, tuple[str, ...]] = {
    "silent": ("ground.silent_satellite=0",),
    "loss": ("ground.stream_loss=0.6",),
    "silent_loss": ("ground.silent_satellite=1", "ground.stream_loss=0.5"),
    "silent_independent": ("ground.silent_satellite=0", "codec.context=independent"),
}


def cases() -> list[Case]:
    """Every case: the matrix, and the rules' variants for a codec of each kind of context."""
    out = list(matrix())
    for name, words in VARIANTS.items():
        out += [Case(f"{model}-{name}", model, words) for model in ("bmshj", "mbt", "elic")]
    for name, words in REPAIRS.items():
        out += [Case(f"{model}-{name}", model, words, repair=True) for model in ("mbt", "elic")]
    for name, words in ONE_SIDED_RULES.items():
        out += [
            Case(f"{model}-{name}", model, words, hearing=ONE_SIDED) for model in ("bmshj", "mbt", "elic")
        ]
    return out


def some_cases() -> list[Case]:
    """What the tests run: every model, grid, context, halo, variant and repair at least once."""
    rows = list(matrix())
    chosen = [case for number, case in enumerate(rows) if number % 4 in (0, 3)]
    models = ("bmshj", "mbt", "elic")
    turn = [
        Case(f"{models[n % 3]}-{name}", models[n % 3], words)
        for n, (name, words) in enumerate(VARIANTS.items())
    ]
    repairs = [Case(f"mbt-{name}", "mbt", words, repair=True) for name, words in REPAIRS.items()]
    return (
        chosen
        + turn
        + repairs
        + [Case(f"elic-{name}", "elic", words, hearing=ONE_SIDED) for name, words in ONE_SIDED_RULES.items()]
    )


# ---------------------------------------------------------------- digests


def digest(*parts: Any) -> str:
    """First 16 hex digits of SHA-256 over bytes, arrays (with shape; integers as int64, floats as float32)
    and plain values."""
    state = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            kind = "<f4" if part.dtype.kind == "f" else "<i8"
            state.update(
                repr(part.shape).encode()
                + np.ascontiguousarray(part.astype(kind) + np.zeros(1, kind)).tobytes()
            )  # + 0: no -0.0
        else:
            state.update(part if isinstance(part, bytes) else repr(part).encode())
    return state.hexdigest()[:16]


def digest_by_satellite(values: Mapping[int, Any]) -> str:
    """One digest of what all satellites have."""
    parts = [
        part
        for satellite, value in sorted(values.items())
        for part in (satellite, *(value if isinstance(value, tuple) else (value,)))
    ]
    return digest(*parts)


def _ground_digests(ground: Ground) -> dict[str, Any]:
    out = {
        "latents": digest_by_satellite(ground.latents),
        "maps": digest_by_satellite(ground.maps),
        "failed": ground.failed,
        "unresolved": {str(s): n for s, n in sorted(ground.unresolved.items())},
    }
    if ground.surrounded:
        out["surrounded"] = digest_by_satellite(ground.surrounded)
    if ground.resent or ground.replaced:
        out |= {"resent": ground.resent, "replaced": ground.replaced}
    return out


def frozen(flown: Flown) -> dict[str, Any]:
    """The digests of one round; sizes and counts stand beside them for those who look for what changed."""
    fate = [np.bincount(flown.maps[s][0].reshape(-1), minlength=3).tolist() for s in sorted(flown.maps)]
    exact = [int(flown.maps[s][1].sum()) for s in sorted(flown.maps)]
    out = {
        "streams": digest_by_satellite(flown.streams),
        "independent": digest_by_satellite(flown.independent),
        "sections": digest_by_satellite({s: sections(data) for s, data in flown.streams.items()}),
        "independent_sections": digest_by_satellite({s: sections(d) for s, d in flown.independent.items()}),
        "downlinked": digest_by_satellite(flown.downlinked),
        "lists": digest_by_satellite(flown.lists),
        "maps": digest_by_satellite(flown.maps),
        "telling": digest_by_satellite(flown.telling),
        "bytes": [sum(map(len, flown.streams.values())), sum(map(len, flown.independent.values()))],
        "kept_local_remote_exact": [[*counts, n] for counts, n in zip(fate, exact, strict=True)],
        "ground": _ground_digests(flown.ground),
        "ground_independent": _ground_digests(flown.ground_independent),
    }
    if not all(np.isnan(bits) for bits in flown.open_bits.values()):
        out["open_bits"] = [round(flown.open_bits[s], 2) for s in sorted(flown.open_bits)]
    return out


class Checkpoints:
    """The packed checkpoints, laid out as files for as long as the `with` block lasts, and beside them a grey
    scene (no pixel is coded)."""

    def __enter__(self) -> dict[str, Path]:
        self._folder = tempfile.TemporaryDirectory()
        paths = {model: Path(self._folder.name) / f"{model}.safetensors" for model in MODELS}
        for model, path in paths.items():
            path.write_bytes(lzma.decompress((HERE / "weights" / f"{model}.safetensors.xz").read_bytes()))
        grey = Image.new("RGB", (256, 256), (90, 100, 80))
        grey.save(Path(self._folder.name) / SCENE)
        return paths

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()


def freeze(case: Case, weights: Mapping[str, Path]) -> dict[str, Any]:
    """Fly one case and digest it; `{"refused": True}` where the program does not take the scenario."""
    words = (
        *BASE,
        f"codec.model={case.model}",
        f"capture.halo_px={case.halo_px}",
        f"scene.path={weights[case.model].parent / SCENE}",
        *case.words,
    )

    def latents(satellite: int, row: int, col: int) -> np.ndarray:
        return view(MODELS[case.model], case.halo_px, satellite, row, col)

    try:
        return frozen(fly(words, weights[case.model], latents, case.repair, case.hearing))
    except Refused:
        return {"refused": True}


def differences(found: Mapping[str, Any], expected: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Keys whose values differ, nested ones as `ground.latents`."""
    out = []
    for key in sorted(found.keys() | expected.keys()):
        a, b = found.get(key), expected.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            out += differences(a, b, f"{prefix}{key}.")
        elif a != b:
            out.append(prefix + key)
    return out


def freeze_for_real(folder: Path) -> dict[str, str]:
    """Digests of the dense scenarios with every model's shipped weights, and every byte of them in `folder`.
    This machine only."""
    out = {}
    for model in MODELS:
        for scenario, rounds in (("dense", 2), ("dense_halo", 1)):
            for number, kinds in fly_for_real(scenario, (f"codec.model={model}", "codec.device=cpu"), rounds):
                for kind, values in kinds.items():
                    for satellite, data in values.items():
                        path = folder / model / f"{scenario}-round{number}-{kind}-{satellite}.bin"
                        path.parent.mkdir(parents=True, exist_ok=True)
                        path.write_bytes(data)
                        out[str(path.relative_to(folder))] = digest(data)
    return out


def main(arguments: list[str]) -> int:
    what, _, value = (arguments[0] if len(arguments) == 1 else "").partition("=")
    if what == "full" and value:
        print(json.dumps(freeze_for_real(Path(value)), indent=1, sort_keys=True))
        return 0
    if what not in ("check", "write") or value not in ("all", "some") or (what, value) == ("write", "some"):
        print(__doc__, file=sys.stderr)
        return 2
    with Checkpoints() as weights:
        found = {case.name: freeze(case, weights) for case in (cases() if value == "all" else some_cases())}
    refused = [name for name, digests in found.items() if "refused" in digests]
    print(f"{len(found)} cases; the program refuses {len(refused)}: {', '.join(refused)}")
    if what == "write":
        lines = [f"{json.dumps(name)}: {json.dumps(digests)}" for name, digests in found.items()]
        DIGESTS.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
        return 0
    expected = json.loads(DIGESTS.read_text(encoding="utf-8"))
    changed = {name: differences(digests, expected.get(name, {})) for name, digests in found.items()}
    changed = {name: keys for name, keys in changed.items() if keys}
    for name, keys in changed.items():
        print(f"changed: {name}: {', '.join(keys)}")
    print(f"{len(found) - len(changed)} of {len(found)} cases as frozen")
    return 1 if changed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
