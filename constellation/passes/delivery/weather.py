"""Rain over a ground station, and what it takes off a link.

How much: ITU-R P.618 (with P.837, P.838, P.839) by the package itur: the attenuation that is exceeded in p %
of the time. When: which p it is at a moment follows a Gauss-Markov process, as in ITU-R P.1853, so that
passes a few minutes apart meet the same shower, and satellites over one station the same sky. Gases and
clouds are not in it (of a link at 10 deg of elevation 0.3 dB and 0.3 dB at 8.2 GHz by P.676 and P.840)."""

from __future__ import annotations

import warnings
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.special import ndtr

from constellation.common.errors import UserError
from constellation.common.random import stream
from constellation.scenario.network import GroundKnobs

STEP_S = 60.0
CORRELATION_S = 5000.0  # 1 / beta with beta = 2e-4 per second, P.1853
_PURPOSE = 7340
_LEAST_PCT, _MOST_PCT = 0.001, 5.0  # that P.618 speaks of
_PCT = np.geomspace(_LEAST_PCT, _MOST_PCT, 24)
_ELEVATION_DEG = np.array([5.0, 7.5, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 90.0])


class Weather:
    """One station's sky from `begin_s` to `end_s`, the same for equal seeds. number: of the station."""

    def __init__(self, ground: GroundKnobs, seed: int, number: int, span_s: tuple[float, float]) -> None:
        if ground.downlink.kind == "optical":
            raise UserError("weather=rain: ITU-R P.618 is about radio, expected ground.downlink.kind=rf")
        place = (ground.latitude_deg, ground.longitude_deg, ground.elevation_m / 1e3)
        self._table_db, self._rainy_pct = _fades(*place, ground.downlink.frequency_ghz)
        steps = int(np.ceil((span_s[1] - span_s[0]) / STEP_S)) + 2
        self._times_s = span_s[0] + STEP_S * np.arange(steps)
        self._dryness = _gauss_markov(stream(_PURPOSE, seed, number), steps)

    def exceeded_pct(self, times_s: np.ndarray) -> np.ndarray:
        """Share of the time, %, in which the weather is worse than now: float64 [T]."""
        return 100 * ndtr(np.interp(times_s, self._times_s, self._dryness))

    def fade_db(self, times_s: np.ndarray, elevation_deg: np.ndarray) -> np.ndarray:
        """Rain attenuation on the way to a satellite at that elevation, dB: float64 [T]."""
        pct = self.exceeded_pct(times_s)
        log_pct = np.log(_PCT)
        wanted = np.log(np.clip(pct, _LEAST_PCT, _MOST_PCT))
        sines = np.sin(np.radians(_ELEVATION_DEG))
        rows = np.stack([np.interp(wanted, log_pct, row) for row in self._table_db])  # [E, T]
        sine = np.sin(np.radians(np.clip(elevation_deg, _ELEVATION_DEG[0], 90.0)))
        above = np.clip(np.searchsorted(sines, sine), 1, len(sines) - 1)
        columns = np.arange(len(pct))
        share = (sine - sines[above - 1]) / (sines[above] - sines[above - 1])
        fade = rows[above - 1, columns] * (1 - share) + rows[above, columns] * share
        # beyond 5 % P.618 is silent: down to nothing where it stops raining
        ends = max(self._rainy_pct, _MOST_PCT)
        beyond = np.log(np.maximum(pct, _MOST_PCT) / _MOST_PCT)
        dry = np.where(pct > _MOST_PCT, 0.0, 1.0)
        if ends > _MOST_PCT:
            dry = np.clip(1 - beyond / np.log(ends / _MOST_PCT), 0.0, 1.0)
        return fade * dry


def _gauss_markov(draws: np.random.Generator, steps: int) -> np.ndarray:
    """A standard normal process of correlation exp(-t / CORRELATION_S), float64 [steps]."""
    from scipy.signal import lfilter

    kept = float(np.exp(-STEP_S / CORRELATION_S))
    noise = draws.standard_normal(steps)
    noise[1:] *= np.sqrt(1 - kept**2)
    return np.asarray(lfilter([1.0], [1.0, -kept], noise))


@lru_cache(maxsize=64)
def _fades(
    latitude_deg: float, longitude_deg: float, elevation_km: float, frequency_ghz: float
) -> tuple[np.ndarray, float]:
    """Attenuation exceeded, dB, float64 [elevations, percentages], and how much of the time it rains, %."""
    try:
        from itur.models import itu618
    except ModuleNotFoundError as error:
        raise UserError(
            f"weather=rain: needs the package {error.name}, which is not installed; "
            "pip install 'dlrc[weather]' brings it"
        ) from None
    if not 1 <= frequency_ghz <= 55:
        raise UserError(
            f"weather=rain: ground.downlink.frequency_ghz={frequency_ghz:g}, expected 1 to 55, of which "
            "ITU-R P.618 speaks"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own bounds, which are kept here
        columns = [
            _number(
                itu618.rain_attenuation(
                    latitude_deg, longitude_deg, frequency_ghz, _ELEVATION_DEG, hs=elevation_km, p=float(pct)
                )
            )
            for pct in _PCT
        ]
        rainy = itu618.rain_attenuation_probability(latitude_deg, longitude_deg, 30.0, hs=elevation_km)
    return np.nan_to_num(np.stack(columns, axis=1)), float(_number(rainy).reshape(-1)[0])


def _number(quantity: Any) -> np.ndarray:
    """What an astropy quantity holds, without its unit; its types do not say that it is one."""
    return np.asarray(quantity.value)
