"""CCSDS 122.0-B, image data compression of the Consultative Committee for Space Data Systems, for one band.

Our own writing of Blue Book 122.0-B-2: three levels of the 9/7 wavelet, with whole numbers (lossless to the
last bit plane) or real ones, and the bit plane encoder. `stream.encode` and `stream.decode` are the two ends;
`bands` codes pictures of several bands, each by itself or after a reversible colour transform, at the
truncation that a slope asks for. Streams were compared with those of independent implementations
(docs/results/ccsds122.md).

* wavelet.py: the transforms; blocks.py: subbands to blocks of 8 x 8 coefficients and their weights
* header.py: parts 1A, 1B, 2, 3 and 4 of a segment's header; stream.py: segments of a picture
* bits.py, rice.py, tables.py: bits, coded differences of DC coefficients and of AC depths, words
* encoding.py, decoding.py: stages 0 to 4 of the bit planes; segment.py: a segment from end to end"""
