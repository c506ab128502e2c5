"""A run as table, pictures and trace."""
