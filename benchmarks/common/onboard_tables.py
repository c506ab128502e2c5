"""The tables of `dlrc bench onboard`: printed from its rows, nothing is measured."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from benchmarks.common.onboard_store import Store, sizes_of
from codec.models import registry

COLUMNS = (
    "codec, widths", "px", "g_a", "hyper", "context", "on board kMAC/px", "g_a / all parameters, M",
    "g_a ms", "entropy ms", "on board ms", "J", "peak MiB", "DLRC ms", "%", "a prediction ms",
)  # fmt: skip


def _whole(value: float) -> str:
    """Rounded; a dash where nothing was measured."""
    return "-" if math.isnan(value) else f"{value:.0f}"


def tell_head(machine: str, watts: float) -> None:
    """What was measured on, and the head of the table."""
    print(f"one thread of {machine}; {watts:g} W while computing\n")
    print(f"| {' | '.join(COLUMNS)} |\n|{' --- |' * len(COLUMNS)}")


def line_of(row: Mapping) -> str:
    """One row of the table."""
    cells = [
        row["label"], row["size_px"],
        *(f"{row[k]:.1f}" for k in ("g_a_kmac", "hyperprior_kmac", "context_kmac")),
        f"{row['on_board_kmac']:.1f}",
        f"{row['g_a_parameters'] / 1e6:.2f} / {row['on_board_parameters'] / 1e6:.2f}",
        *(f"{row[k]:.1f}" for k in ("g_a_ms", "entropy_ms", "on_board_ms")),
        f"{row['joules']:.2f}", f"{row['peak_mib']:.0f}", f"{row['dlrc_ms']:.2f}",
        f"{row['dlrc_share_pct']:.1f}", _whole(row["prediction_ms"]),
    ]  # fmt: skip
    return f"| {' | '.join(map(str, cells))} |"


def tell_paper(rows: Sequence[Mapping]) -> None:
    """The paper's Table 2 and Figure 9, whose bars are its columns, beside what was measured here."""
    ours = {row["model"]: row for row in rows if row["size_px"] == 256 and row["widths"] == rows[0]["widths"]}
    print("\nTable 2 and Figure 9 of the paper (Titan V, 256 px; * our estimate), and one thread here\n")
    print(
        "| codec | g_a ms | modelling ms | coding ms | sum ms | DLRC 12.89 ms | here: g_a | entropy | DLRC |"
    )
    print(f"|{' --- |' * 9}")
    for name, parts in registry.seconds("titan_v").items():
        ms, row = [1e3 * part for part in parts], ours.get(name)
        here = [f"{row[k]:.1f}" for k in ("g_a_ms", "entropy_ms", "dlrc_ms")] if row else ["-"] * 3
        star = "" if registry.family(name).whole else "*"
        cells = (f"{name}{star}", *(f"{v:.2f}" for v in (*ms, sum(ms))), f"{1289 / sum(ms):.0f} %", *here)
        print(f"| {' | '.join(cells)} |")


def tell_quality(store: Store) -> None:
    """The table of quality."""
    took = [
        f"{name} {one['on_board_ms']:.1f} ms" for name, one in store.quality.items() if "on_board_ms" in one
    ]
    print(f"\nheld-out patches of 256 px ({store.patches}); encoding takes {', '.join(took)}\n")
    print("| codec | R + lambda D | bit/px | PSNR dB |\n|---|---|---|---|")
    for name, one in store.quality.items():
        print(f"| {name} | {one['loss']:.4f} | {one['bpp']:.4f} | {one['psnr_db']:.2f} |")


def tell_sizes(rows: Sequence[Mapping]) -> None:
    """Milliseconds, memory and DLRC's share by size, a line a codec."""
    sizes = sizes_of(rows)
    print("\non board: ms, peak MiB, DLRC's share\n")
    print(f"| codec, widths | {' | '.join(f'{size} px' for size in sizes)} |\n|{' --- |' * (len(sizes) + 1)}")
    for label, kind in dict.fromkeys((row["label"], row["widths"]) for row in rows):
        own = {row["size_px"]: row for row in rows if (row["label"], row["widths"]) == (label, kind)}
        cells = [
            f"{own[s]['on_board_ms']:,.0f}, {own[s]['peak_mib']:,.0f}, {own[s]['dlrc_share_pct']:.1f} %"
            if s in own
            else "not measured"
            for s in sizes
        ]
        print(f"| {label} | {' | '.join(cells)} |")
