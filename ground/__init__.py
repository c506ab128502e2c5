"""What runs at the ground station: decode by priority, resolve copies, synthesise, measure, report."""
