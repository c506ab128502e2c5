"""How a crew comes by its views: patches of a window, or what orbits let each satellite see."""
