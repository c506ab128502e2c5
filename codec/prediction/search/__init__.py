"""How an encoder finds its prediction: nothing here has to come out the same elsewhere."""
