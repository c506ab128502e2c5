"""One study per figure, table or question."""
