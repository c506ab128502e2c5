"""What pages of the laboratory share: one shell, one style, one way to draw; nothing comes from elsewhere."""
