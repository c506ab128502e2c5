"""Files that the field's own tools read and write."""
