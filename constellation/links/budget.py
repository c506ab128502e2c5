"""Link budget: distance -> rate, for radio and optical inter-satellite links (appendix A, Table A1).

The paper's printed noise, -174 + 10 log10(T_n) + 10 log10(W), counts the temperature twice, because -174
dBm/Hz already is k * 290 K: it is 24.6 dB too loud at 290 K. `noise=ktb` (default) is k T_n W; `noise=paper`
is as printed. Every result names the one it used."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from constellation.scenario.network import LinkKnobs

BOLTZMANN_J_K = 1.380649e-23  # SI, exact
FREE_SPACE_DB = 32.44  # 20 log10(4 pi / c) for km and MHz
PAPER_NOISE_DBM_HZ = -174.0
_SNR_OF_LONGEST_STRIDE = (
    3.9215536345675  # u > 0 with ln(1 + u) = 2 u / (1 + u): where d * log2(1 + C / d^2) peaks
)


@dataclass(frozen=True)
class LinkBudget:
    """Every term of one link, for display. Decibels relative to 1 mW (dbm), to an isotropic antenna (dbi), or
    plain (db)."""

    distance_km: float
    frequency_ghz: float
    bandwidth_mhz: float
    tx_power_dbm: float
    tx_gain_dbi: float
    rx_gain_dbi: float
    system_loss_db: float
    free_space_loss_db: float
    received_dbm: float
    noise_dbm: float
    snr_db: float
    capacity_bps: float  # Shannon: W log2(1 + SNR)
    overhead: float
    rate_bps: float  # capacity * (1 - overhead); of an optical terminal its fixed rate
    noise: str  # "ktb", "paper" or "optical"


def free_space_loss_db(distance_km: np.ndarray | float, frequency_ghz: float) -> np.ndarray:
    """32.44 + 20 log10(d_km) + 20 log10(f_MHz): f is in MHz here, not GHz. Broadcasts."""
    return FREE_SPACE_DB + 20 * np.log10(distance_km) + 20 * math.log10(frequency_ghz * 1e3)


def noise_dbm(link: LinkKnobs) -> float:
    """Noise power in the link's bandwidth, dBm: k T_n W, or the paper's printed formula."""
    bandwidth_hz = link.bandwidth_mhz * 1e6
    if link.noise == "paper":
        return PAPER_NOISE_DBM_HZ + 10 * math.log10(link.noise_temperature_k) + 10 * math.log10(bandwidth_hz)
    return 10 * math.log10(BOLTZMANN_J_K * link.noise_temperature_k * bandwidth_hz) + 30


def noise_label(link: LinkKnobs) -> str:
    """What every result carries: "ktb" or "paper", or "optical" where no noise enters."""
    return "optical" if link.kind == "optical" else link.noise


def snr_at_one_km(link: LinkKnobs) -> float:
    """Linear SNR at 1 km; it falls with the square of the distance."""
    received_dbm = (
        link.tx_power_dbm
        + link.tx_gain_dbi
        + link.rx_gain_dbi
        - float(free_space_loss_db(1.0, link.frequency_ghz))
        - link.system_loss_db
    )
    return 10 ** ((received_dbm - noise_dbm(link)) / 10)


def rate_bps(
    distance_km: np.ndarray | float, link: LinkKnobs, fade_db: np.ndarray | float = 0.0
) -> np.ndarray:
    """Effective rate B_ij = W log2(1 + SNR) (1 - overhead), bit/s, fade_db being lost on the way beside the
    budget's losses; of an optical link its fixed rate. Broadcasts, float64.

    Two satellites at one point (crossing planes) get the rate of 1 m, not infinity.
    """
    distance_km = np.maximum(np.asarray(distance_km, dtype=np.float64), 1e-3)
    if link.kind == "optical":
        return np.full(distance_km.shape, link.optical_rate_bps)
    scale = link.bandwidth_mhz * 1e6 * (1 - link.overhead) / math.log(2)
    snr = snr_at_one_km(link) / np.square(distance_km)
    if np.any(fade_db):
        snr = snr * 10 ** (-0.1 * np.asarray(fade_db))
    return scale * np.log1p(snr)


def link_budget(distance_km: float, link: LinkKnobs) -> LinkBudget:
    """All terms of the budget at one distance."""
    loss_db = float(free_space_loss_db(distance_km, link.frequency_ghz))
    received_dbm = link.tx_power_dbm + link.tx_gain_dbi + link.rx_gain_dbi - loss_db - link.system_loss_db
    snr_db = received_dbm - noise_dbm(link)
    rate = float(rate_bps(distance_km, link))
    return LinkBudget(
        distance_km=float(distance_km),
        frequency_ghz=link.frequency_ghz,
        bandwidth_mhz=link.bandwidth_mhz,
        tx_power_dbm=link.tx_power_dbm,
        tx_gain_dbi=link.tx_gain_dbi,
        rx_gain_dbi=link.rx_gain_dbi,
        system_loss_db=link.system_loss_db,
        free_space_loss_db=loss_db,
        received_dbm=received_dbm,
        noise_dbm=noise_dbm(link),
        snr_db=snr_db,
        capacity_bps=link.bandwidth_mhz * 1e6 * math.log2(1 + 10 ** (snr_db / 10)),
        overhead=link.overhead,
        rate_bps=rate,
        noise=noise_label(link),
    )


def fastest_stride_km_bps(link: LinkKnobs, max_distance_km: float) -> float:
    """max over 0 < d <= max_distance of d * B(d), km bit/s: no hop carries bits faster per kilometre covered.

    With it, hop costs have the lower bound S / B(d) >= d * S / stride, on which exact pruning of routes rests
    (`routing`)."""
    distance_km = max_distance_km
    if link.kind == "rf":
        distance_km = min(distance_km, math.sqrt(snr_at_one_km(link) / _SNR_OF_LONGEST_STRIDE))
    return float(distance_km * rate_bps(distance_km, link)) * (1 + 1e-9)
