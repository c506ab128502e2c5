"""Words of 2, 3 and 4 bits and their variable-length codes, section 4.5.3.3."""

from __future__ import annotations

import numpy as np

# The symbol of every word, tables 4-11 and 4-12. Special words, tran_D of 3 bits and tran_H and types of
# grandchildren of 4, are never 0.
_SYMBOLS = {
    (2, 0): (0, 2, 1, 3),
    (3, 0): (1, 4, 0, 5, 2, 6, 3, 7),
    (3, 1): (-1, 3, 0, 4, 1, 5, 2, 6),
    (4, 0): (10, 1, 3, 6, 2, 5, 9, 12, 0, 8, 7, 13, 4, 14, 11, 15),
    (4, 1): (-1, 1, 3, 6, 2, 5, 9, 11, 0, 8, 7, 12, 4, 13, 10, 14),
}
# Codes by length of the word and option, tables 4-13 to 4-15: leading zeros of a code, bits behind its first
# 1
_CODES = {
    (2, 0): "1 01 001 000",
    (3, 0): "1 01 001 00000 00001 00010 000110 000111",
    (3, 1): "10 11 010 011 0010 0011 0000 0001",
    (4, 0): "1 01 001 0001 0000000 0000001 0000010 0000011 00001000 00001001 00001010 00001011 "
    "00001100 00001101 00001110 00001111",
    (
        4,
        1,
    ): "10 11 010 011 0010 0011 000000 000001 000010 000011 000100 000101 0001100 0001101 0001110 0001111",
    (4, 2): "100 101 110 111 0100 0101 0110 0111 00100 00101 00110 00111 00000 00001 00010 00011",
}
UNCODED = (1, 3, 3)  # the option, by length - 2
ID_BITS = (1, 2, 2)  # of an option, by length - 2
PEEK = 8  # bits of the longest code


def _codes(length: int, option: int) -> list[str]:
    if option == UNCODED[length - 2]:
        return [format(symbol, f"0{length}b") for symbol in range(1 << length)]
    return _CODES.get((length, option), "").split()


def _encoding() -> tuple[np.ndarray, np.ndarray]:
    """(code, its bits), int64 [3, 4, 16] by length - 2, option, symbol; bits 99 where there is no such
    code."""
    code, bits = np.zeros((3, 4, 16), np.int64), np.full((3, 4, 16), 99, np.int64)
    for length in (2, 3, 4):
        for option in range(4):
            for symbol, text in enumerate(_codes(length, option)):
                code[length - 2, option, symbol], bits[length - 2, option, symbol] = int(text, 2), len(text)
    return code, bits


def _decoding() -> tuple[np.ndarray, np.ndarray]:
    """(symbol, bits of its code), int64 [3, 4, 256] by length - 2, option and the next eight bits; symbol -1
    where no code begins so."""
    symbols, bits = np.full((3, 4, 256), -1, np.int64), np.zeros((3, 4, 256), np.int64)
    for length in (2, 3, 4):
        for option in range(4):
            for symbol, text in enumerate(_codes(length, option)):
                start = int(text, 2) << (PEEK - len(text))
                run = slice(start, start + (1 << (PEEK - len(text))))
                symbols[length - 2, option, run], bits[length - 2, option, run] = symbol, len(text)
    return symbols, bits


def _mapping() -> tuple[np.ndarray, np.ndarray]:
    """(symbol of a word, word of a symbol), int64 [3, 2, 16] by length - 2 and whether special; -1: none."""
    symbols, words = np.full((3, 2, 16), -1, np.int64), np.full((3, 2, 16), -1, np.int64)
    for (length, special), row in _SYMBOLS.items():
        for word, symbol in enumerate(row):
            symbols[length - 2, special, word] = symbol
            if symbol >= 0:
                words[length - 2, special, symbol] = word
    return symbols, words


CODE, CODE_BITS = _encoding()
READ_SYMBOL, READ_BITS = _decoding()
SYMBOL_OF, WORD_OF = _mapping()
