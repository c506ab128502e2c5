"""Pictures from files and the built-in scene."""
