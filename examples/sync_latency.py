"""How long one exchange of signatures takes in a constellation; no torch, no images.

    python examples/sync_latency.py

Eight satellites of a Walker shell of a thousand, ten instants a minute apart, two payloads (paper, appendix
A)."""

import numpy as np

from constellation.scenario.load import load_scenario
from constellation.sync.series import Setting
from constellation.sync.simulation import simulate

scenario = load_scenario("edge_space_com", ["satellites=8", "link.noise=ktb"])
series = simulate(Setting.of(scenario), [2048, 32768], times_s=60.0 * np.arange(10))

print(f"{series.constellation}, rule {series.rule}, noise {series.noise}")
for payload, size in enumerate(series.payload_bytes):
    figures = series.figures(payload)
    print(
        f"{size / 1024:4.0f} KiB a satellite: T_sync {1e3 * figures.t_sync_mean_s:.1f} ms mean, T_round "
        f"{1e3 * figures.t_round_max_s:.1f} ms worst, {100 * figures.unheard_share:.0f} % of pairs unheard"
    )
