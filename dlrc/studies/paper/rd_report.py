"""Markdown tables and CSV rows of the rate-distortion study."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

from dlrc.studies.common.statistics import Estimate, Line
from dlrc.studies.paper.rd_rounds import Configuration

SECTIONS = ("y_d", "z_d", "map_d", "header_d", "y_i", "z_i", "header_i")
_ESTIMATES = [field.name for field in fields(Line) if field.type == "Estimate"]
_PLAIN = [
    "windows",
    "decoded_windows",
    "streams",
    "exact",
    "failed",
    "kept",
    "local",
    "remote",
    "d_psnr_worst",
]
TABLE_FIELDS = (
    ["model", "lambda", "density", "halo_px", *_PLAIN]
    + [name + end for name in _ESTIMATES for end in ("", "_low", "_high")]
    + [f"bpp_{name}" for name in SECTIONS]
)


def markdown(head: list[str], rows: list[list[str]]) -> list[str]:
    """The lines of a table."""
    return [
        "| " + " | ".join(head) + " |",
        "|" + " --- |" * len(head),
        *("| " + " | ".join(row) + " |" for row in rows),
    ]


def _name(configuration: Configuration) -> list[str]:
    return [
        configuration.model,
        f"{configuration.lambda_:g}",
        configuration.density,
        str(configuration.halo_px),
    ]


def table_rows(lines: Mapping[Configuration, Line]) -> list[list]:
    """`table.csv`."""
    rows = []
    for configuration, line in lines.items():
        estimates: list[Estimate] = [getattr(line, name) for name in _ESTIMATES]
        rows.append(
            [
                *_name(configuration),
                *(getattr(line, name) for name in _PLAIN),
                *(f"{value:.6g}" for e in estimates for value in (e.value, e.low, e.high)),
                *(f"{line.bpp[name]:.6f}" for name in SECTIONS),
            ]
        )
    return rows


def saving_table(lines: Mapping[Configuration, Line]) -> list[str]:
    """The study's main table."""
    head = [
        "model",
        "lambda",
        "overlap",
        "halo, px",
        "windows",
        "y-bits saved, %",
        "all bits saved, %",
        "oracle, % of positions",
        "y saving / oracle, %",
        "dPSNR, dB",
        "its median window",
        "worst patch, dB",
        "dMS-SSIM",
        "map, bits/position",
        "decoded exactly",
        "failed",
    ]
    rows = []
    for configuration, line in lines.items():
        count = (
            str(line.windows)
            if line.decoded_windows == line.windows
            else f"{line.windows} ({line.decoded_windows} decoded)"
        )
        rows.append(
            [
                *_name(configuration),
                count,
                line.y_saved.text(1),
                line.total_saved.text(1),
                line.oracle.text(1),
                line.of_oracle.text(1),
                line.d_psnr.text(4, sign=True),
                line.d_psnr_median.text(4, sign=True),
                f"{line.d_psnr_worst:+.2f}",
                line.d_ms_ssim.text(5, sign=True),
                line.map_bits.text(2),
                f"{line.exact} of {line.streams}",
                str(line.failed),
            ]
        )
    return markdown(head, rows)


def breakdown_table(lines: Mapping[Configuration, Line]) -> list[str]:
    """Bits per pixel by section, and the quality of independent coding."""
    head = [
        "model",
        "lambda",
        "overlap",
        "halo, px",
        "without: y + z + header = all",
        "with DLRC: y + z + map + header = all",
        "map, % of all",
        "kept / local / remote, %",
        "PSNR without, dB",
        "MS-SSIM without",
    ]
    rows = []
    for configuration, line in lines.items():
        b = line.bpp
        before, after = [b["y_i"], b["z_i"], b["header_i"]], [b["y_d"], b["z_d"], b["map_d"], b["header_d"]]
        rows.append(
            [
                *_name(configuration),
                *(f"{' + '.join(f'{v:.4f}' for v in part)} = {sum(part):.4f}" for part in (before, after)),
                line.map_share.text(1),
                f"{100 * line.kept:.1f} / {100 * line.local:.1f} / {100 * line.remote:.1f}",
                line.psnr_i.text(2),
                line.ms_ssim_i.text(4),
            ]
        )
    return markdown(head, rows)
