"""The space segment as a network: scenario, orbits, links, topology, routing, sync rounds, contacts,
priorities, clocks.

No image code lives here, and nothing here imports torch.
"""

from constellation.common import kernels

kernels.place()  # before anybody imports numba
