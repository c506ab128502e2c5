"""What runs on board of each satellite (the paper's Figure 4: Recognizer, Selector, Arbiter, Filter)."""
