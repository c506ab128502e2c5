"""Maps that people make of pictures: labelled data, a segmenter, and codecs that are tuned for them."""
