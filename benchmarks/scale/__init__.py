"""How runs grow: time, memory and bytes of whole commands."""
