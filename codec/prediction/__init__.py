"""Cross-view coding: the picture that another satellite's stream gives, registered to one's own view,
predicts."""
