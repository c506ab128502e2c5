"""Oriented boxes of objects: text files as DOTA and STAR have them, captures, mean average precision."""
