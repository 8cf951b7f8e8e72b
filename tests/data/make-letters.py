#!/usr/bin/env python3
"""Writes src/model/tokenizer/letters.rs: the Unicode letters and numbers that the pre-tokenizers tell apart.

Unicode 15.1, the version of llama.cpp's own table (src/unicode-data.cpp), which is the oracle. Python's unicodedata
follows the interpreter, so the version comes from PyPI:

    pip install unicodedata2==15.1.0
    python3 tests/data/make-letters.py [path of llama.cpp's unicode-data.cpp, to compare with]
"""

import re
import sys
from pathlib import Path

import unicodedata2

assert unicodedata2.unidata_version == "15.1.0", unicodedata2.unidata_version

HEAD = '''//! Which characters are letters and numbers to Unicode (general categories L and N).
//!
//! std's `is_alphabetic` is another set: it takes in combining marks and circled letters. Made by
//! `tests/data/make-letters.py` from Unicode 15.1, llama.cpp's version, so that words are cut where llama.cpp cuts them.

/// `\\\\p{L}`
pub(super) fn is_letter(character: char) -> bool {
    character.is_ascii_alphabetic() || !character.is_ascii() && contains(&LETTERS, character)
}

/// `\\\\p{N}`
pub(super) fn is_number(character: char) -> bool {
    character.is_ascii_digit() || !character.is_ascii() && contains(&NUMBERS, character)
}

/// The ranges are closed and in order.
fn contains(ranges: &[(u32, u32)], character: char) -> bool {
    let character = character as u32;
    let after = ranges.partition_point(|range| range.0 <= character);
    after > 0 && character <= ranges[after - 1].1
}
'''.replace("\\\\\\\\", "\\").replace("\\\\", "\\")


def ranges(category: str) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for point in range(0x80, 0x110000):
        if unicodedata2.category(chr(point)).startswith(category):
            if found and found[-1][1] == point - 1:
                found[-1] = (found[-1][0], point)
            else:
                found.append((point, point))
    return found


def table(name: str, rows: list[tuple[int, int]]) -> str:
    cells = [f"(0x{first:x}, 0x{last:x})," for first, last in rows]
    lines, line = [], ""
    for cell in cells:
        if len(line) + len(cell) + 1 > 114:
            lines.append(line)
            line = ""
        line = f"{line} {cell}".strip()
    body = "\n".join(f"    {line}" for line in [*lines, line])
    return f"\n#[rustfmt::skip]\nstatic {name}: [(u32, u32); {len(rows)}] = [\n{body}\n];\n"


def compare(path: str, letters: list[tuple[int, int]], numbers: list[tuple[int, int]]) -> None:
    block = Path(path).read_text().split("unicode_ranges_flags = {")[1].split("};")[0]
    rows = [(int(start, 16), int(flags, 16)) for start, flags in re.findall(r"\{(0x\w+), (0x\w+)\}", block)]
    for flag, ours in ((4, letters), (2, numbers)):
        theirs = {p for (a, f), (b, _) in zip(rows, rows[1:]) if f & flag for p in range(max(a, 0x80), b)}
        assert theirs == {p for first, last in ours for p in range(first, last + 1)}, "the tables differ"


letters, numbers = ranges("L"), ranges("N")
if len(sys.argv) > 1:
    compare(sys.argv[1], letters, numbers)
out = Path(__file__).parents[2] / "src/model/tokenizer/letters.rs"
out.write_text(HEAD + table("LETTERS", letters) + table("NUMBERS", numbers))
