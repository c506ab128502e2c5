"""From rows to a line of the table: ratios of sums and mean differences, with 95 % intervals from a bootstrap
over windows. From points to curves of rate and quality, and how far a model is from one.

Satellites of one window see the same ground and lean on each other, so whole windows are drawn, never single
rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from dlrc.studies.common.baselines import Point
from dlrc.studies.paper.rd_rounds import Row

RESAMPLES = 2000
LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A figure and its 95 % interval; NaN where nothing was measured."""

    value: float
    low: float
    high: float

    def text(self, digits: int, sign: bool = False) -> str:
        """`38.1 [36.9, 39.3]`"""
        if not np.isfinite(self.value):
            return "-"
        form = f"{{:{'+' if sign else ''}.{digits}f}}"
        return f"{form.format(self.value)} [{form.format(self.low)}, {form.format(self.high)}]"


@dataclass(frozen=True)
class Line:
    """What the study says about one configuration; percentages, bits per pixel, dB. bpp: sections by name,
    `y_d`, `z_d`, ..."""

    windows: int
    decoded_windows: int
    streams: int
    exact: int
    failed: int
    y_saved: Estimate
    total_saved: Estimate
    oracle: Estimate  # share of positions
    of_oracle: Estimate  # y saving / oracle share
    d_psnr: Estimate
    d_psnr_median: Estimate  # over windows, of their mean
    d_psnr_worst: float  # of a patch that was decoded and shows anything
    d_ms_ssim: Estimate
    psnr_i: Estimate
    ms_ssim_i: Estimate
    map_bits: Estimate  # per latent position
    map_share: Estimate  # of all bits with DLRC
    kept: float
    local: float
    remote: float
    bpp: dict[str, float]


def bootstrap(columns: Sequence[np.ndarray], statistic: Callable[..., np.ndarray], seed: int = 0) -> Estimate:
    """`statistic` of the columns' sums over windows, with the percentile interval of RESAMPLES draws of
    windows with replacement.

    columns: float64 [windows] each; windows with NaN are left out. statistic: vectorised over arrays of sums.
    """
    table = np.stack([np.asarray(column, dtype=np.float64) for column in columns])
    table = table[:, np.isfinite(table).all(axis=0)]
    count = table.shape[1]
    if count == 0:
        return Estimate(float("nan"), float("nan"), float("nan"))
    stream = np.random.Generator(np.random.Philox(np.random.SeedSequence([0xB007, seed])))
    weights = stream.multinomial(count, np.full(count, 1 / count), size=RESAMPLES)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = float(statistic(*table.sum(axis=1)))
        drawn = np.asarray(statistic(*(weights @ table.T).T))
    drawn = drawn[~np.isnan(drawn)]
    low, high = (
        np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]) if drawn.size else (float("nan"), float("nan"))
    )
    return Estimate(value, float(low), float(high))


def bootstrap_median(values: np.ndarray, seed: int = 0) -> Estimate:
    """Median over windows, float64 [windows], with the percentile interval of RESAMPLES draws; NaN are left
    out."""
    values = values[np.isfinite(values)]
    if not len(values):
        return Estimate(float("nan"), float("nan"), float("nan"))
    stream = np.random.Generator(np.random.Philox(np.random.SeedSequence([0xB008, seed])))
    medians = np.median(values[stream.integers(len(values), size=(RESAMPLES, len(values)))], axis=1)
    low, high = np.quantile(medians, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(float(np.median(values)), float(low), float(high))


def share(part, whole):
    """Percent."""
    return 100 * part / whole


def saved(after, before):
    """Percent."""
    return 100 * (1 - after / before)


def mean(total, count):
    """Of a sum."""
    return total / count


def summarise(rows: Sequence[Row], windows: int) -> Line:
    """The line of the rows of windows 0 .. `windows` - 1. A patch of hidden cells alone has bytes and no
    quality, and is no fault of its window."""
    rows = [row for row in rows if row.round < windows]
    numbers = np.array([row.round for row in rows])
    rounds, index = np.unique(numbers, return_inverse=True)

    def per_window(value: Callable[[Row], float]) -> np.ndarray:
        return np.bincount(index, weights=[value(row) for row in rows], minlength=len(rounds))

    y_d, y_i = per_window(lambda r: r.y_d), per_window(lambda r: r.y_i)
    all_d = per_window(lambda r: r.y_d + r.z_d + r.map_d + r.header_d)
    all_i = per_window(lambda r: r.y_i + r.z_i + r.header_i)
    positions, oracle = per_window(lambda r: r.positions), per_window(lambda r: r.oracle)
    seen = per_window(lambda r: r.pixels > 0)
    d_psnr = per_window(lambda r: r.psnr_d - r.psnr_i if r.pixels else 0)
    with np.errstate(invalid="ignore"):  # 0 / 0: a window in which nobody sees anything
        d_psnr_windows = d_psnr / seen
    worst = [r.psnr_d - r.psnr_i for r in rows if r.decoded]
    map_bytes, pixels = per_window(lambda r: r.map_d), float(sum(r.pixels for r in rows))
    return Line(
        windows=len(rounds),
        decoded_windows=len({r.round for r in rows if r.decoded}),
        streams=sum(r.decoded for r in rows),
        exact=sum(r.exact for r in rows),
        failed=sum(r.failed for r in rows),
        y_saved=bootstrap((y_d, y_i), saved),
        total_saved=bootstrap((all_d, all_i), saved),
        oracle=bootstrap((oracle, positions), share),
        of_oracle=bootstrap((y_d, y_i, oracle, positions), lambda d, i, o, p: 100 * (1 - d / i) / (o / p)),
        d_psnr=bootstrap((d_psnr, seen), mean),
        d_psnr_median=bootstrap_median(d_psnr_windows),
        d_psnr_worst=min((change for change in worst if not np.isnan(change)), default=float("nan")),
        d_ms_ssim=bootstrap((per_window(lambda r: r.ms_ssim_d - r.ms_ssim_i if r.pixels else 0), seen), mean),
        psnr_i=bootstrap((per_window(lambda r: r.psnr_i if r.pixels else 0), seen), mean),
        ms_ssim_i=bootstrap((per_window(lambda r: r.ms_ssim_i if r.pixels else 0), seen), mean),
        map_bits=bootstrap((8 * map_bytes, positions), mean),
        map_share=bootstrap((map_bytes, all_d), share),
        kept=per_window(lambda r: r.kept).sum() / positions.sum(),
        local=per_window(lambda r: r.local).sum() / positions.sum(),
        remote=per_window(lambda r: r.remote).sum() / positions.sum(),
        bpp={
            name: 8 * sum(getattr(r, name) for r in rows) / pixels if pixels else float("nan")
            for name in ("y_d", "z_d", "map_d", "header_d", "y_i", "z_i", "header_i")
        },
    )


# ---------------------------------------------------------------- curves of rate and quality


SLOPES = tuple(np.geomspace(0.001, 0.3, 18))
Triple = tuple[float, float, float]  # bpp, PSNR, MS-SSIM


def curve(points: Sequence[Point], codec: str) -> np.ndarray:
    """(mean bpp, PSNR of the mean MSE, mean MS-SSIM) at equal slope, float64 [slopes, 3], by rising rate.

    A learned codec is trained for one lambda, that is for bpp + lambda 255^2 MSE summed over pictures. So
    each patch takes the quality that minimises this, for each lambda of SLOPES, and what is minimised is what
    is averaged: the MSE. (Averaging decibels after such a choice would speak for neither: it moves bits to
    patches where they gain much MSE and few decibels.)"""
    mine = sorted((p.round, p.quality, p.bpp, p.psnr_db, p.ms_ssim) for p in points if p.codec == codec)
    patches = len({row[0] for row in mine})
    return _lower_hull(np.array([row[2:] for row in mine]).reshape(patches, -1, 3))


def _lower_hull(table: np.ndarray) -> np.ndarray:
    """`curve` of patches' points, [patches, qualities, 3]."""
    distortion = 255.0**2 * 10 ** (-table[:, :, 1] / 10)
    best = [np.argmin(table[:, :, 0] + slope * distortion, axis=1) for slope in SLOPES]
    return np.array(sorted({pooled(table[np.arange(len(table)), choice]) for choice in best}))


def pooled(patches: np.ndarray | Sequence[Triple]) -> Triple:
    """(bpp, PSNR, MS-SSIM) of patches, [N, 3], as one: mean bpp, PSNR of the mean MSE, mean MS-SSIM."""
    rate, psnr_db, similarity = np.asarray(patches, dtype=np.float64).T
    return float(rate.mean()), float(-10 * np.log10(np.mean(10 ** (-psnr_db / 10)))), float(similarity.mean())


def distances(points: Sequence[Point], codec: str, model: Mapping[int, Triple]) -> np.ndarray:
    """Per patch, the model's PSNR and MS-SSIM minus the codec's at the model's own rate, float64 [patches,
    2].

    model: (bpp, PSNR, MS-SSIM) by window. Between qualities the codec's values are interpolated over log bpp;
    a patch whose rate the codec's qualities do not reach is NaN."""
    out = []
    for number, (rate, psnr, similarity) in sorted(model.items()):
        known = sorted(
            (p.bpp, p.psnr_db, p.ms_ssim) for p in points if p.codec == codec and p.round == number
        )
        if not known or not known[0][0] <= rate <= known[-1][0]:
            out.append([np.nan, np.nan])
            continue
        rates, psnrs, similarities = np.array(known).T
        out.append(
            [
                psnr - np.interp(np.log(rate), np.log(rates), psnrs),
                similarity - np.interp(np.log(rate), np.log(rates), similarities),
            ]
        )
    return np.array(out).reshape(-1, 2)


def bd_rate(anchor: np.ndarray, test: np.ndarray) -> float:
    """Percent of rate that `test` needs more than `anchor` at equal PSNR (Bjontegaard, pchip); [points, (bpp,
    PSNR, ...)] each, by rising rate; NaN below 3 points, where no PSNR is in both, and where one falls as its
    rate rises: there is no rate of a PSNR then."""
    import warnings

    from bjontegaard import bd_rate as of

    if len(anchor) < 3 or len(test) < 3 or min(np.diff(anchor[:, 1]).min(), np.diff(test[:, 1]).min()) <= 0:
        return float("nan")
    curves = (anchor[:, 0], anchor[:, 1], test[:, 0], test[:, 1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = of(*curves, method="pchip", require_matching_points=False, min_overlap=0)
    return float(cast(float, found))  # a tuple only with its interpolators


def bd_interval(
    points: Sequence[Point],
    codec: str,
    model: Sequence[Mapping[int, Triple]],
    draws: int = 400,
    units: Mapping[int, int] | None = None,
) -> tuple[float, float]:
    """95 % interval of the BD-rate of a model against a codec, by bootstrap over windows: both curves are
    those of the same drawn windows. model: (bpp, PSNR, MS-SSIM) by window, for each lambda. units: what a
    window belongs to, a scene say, where such are drawn whole. NaN where there is one alone to draw."""
    windows = sorted(set.intersection(*(set(found) for found in model)))
    unit_of = np.array([number if units is None else units[number] for number in windows])
    held = [np.flatnonzero(unit_of == unit) for unit in np.unique(unit_of)]
    if len(held) < 2:
        return float("nan"), float("nan")
    chosen = [[p for p in points if p.codec == codec and p.round == number] for number in windows]
    table = np.array(
        [[(p.bpp, p.psnr_db, p.ms_ssim) for p in sorted(c, key=lambda p: p.quality)] for c in chosen]
    )
    own = np.array([[found[number] for number in windows] for found in model])
    random, rates = np.random.default_rng(0), []
    for _ in range(draws):
        drawn = np.concatenate([held[unit] for unit in random.integers(len(held), size=len(held))])
        test = np.array(sorted(pooled(found[drawn]) for found in own))
        rates.append(bd_rate(_lower_hull(table[drawn]), test))
    known = np.array(rates)[np.isfinite(rates)]
    low, high = np.percentile(known, (2.5, 97.5)) if known.size else (np.nan, np.nan)
    return float(low), float(high)
