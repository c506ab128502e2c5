"""Inter-satellite links: budget, topology, routes."""
