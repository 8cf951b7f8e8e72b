#!/usr/bin/env python3
"""Writes corpus/gguf: the smallest models that the reader takes (`valid-…`), and one file broken in each part.

The models of tests/it/gguf_builder.rs have 261 tokens and 24 KB; a fuzzer gets on better with 4 KB.
"""

import struct
from pathlib import Path

U32, I32, F32, STRING, ARRAY = 4, 5, 6, 8, 9
FLOATS, HALF_FLOATS = 0, 1
FOLDER = Path(__file__).parent / "corpus" / "gguf"
PRINTABLE = [chr(code) for code in range(ord("!"), ord("~") + 1)]
# What GPT-2's alphabet has for tab, newline and space.
SPACES = ["\u0109", "\u010a", "\u0120"]


def text(value):
    raw = value.encode()
    return struct.pack("<Q", len(raw)) + raw


def strings(values):
    return struct.pack("<IQ", STRING, len(values)) + b"".join(map(text, values))


def numbers(kind, values):
    return struct.pack("<IQ", kind, len(values)) + b"".join(struct.pack("<I", value) for value in values)


class Model:
    """One block, four wide."""

    def __init__(self, name="qwen2", splitter="qwen2"):
        tokens = PRINTABLE + SPACES + ["ls", "<|im_end|>"]
        self.version, self.alignment, self.tail = 3, 32, b""
        self.entries = {
            "general.architecture": (STRING, text(name)),
            "tokenizer.ggml.model": (STRING, text("gpt2")),
            "tokenizer.ggml.pre": (STRING, text(splitter)),
            "tokenizer.ggml.tokens": (ARRAY, strings(tokens)),
            "tokenizer.ggml.token_type": (ARRAY, numbers(I32, [1] * (len(tokens) - 1) + [3])),
            "tokenizer.ggml.merges": (ARRAY, strings(["l s"])),
            "tokenizer.ggml.eos_token_id": (U32, struct.pack("<I", len(tokens) - 1)),
        }
        sizes = {"block_count": 1, "context_length": 64, "embedding_length": 4, "feed_forward_length": 4}
        heads = {"attention.head_count": 2, "attention.head_count_kv": 1}
        for key, value in {**sizes, **heads}.items():
            self.entries[f"{name}.{key}"] = (U32, struct.pack("<I", value))
        self.entries[f"{name}.rope.freq_base"] = (F32, struct.pack("<f", 1e6))
        biases = {"attn_q.bias": [4], "attn_k.bias": [2], "attn_v.bias": [2]} if name == "qwen2" else {}
        block = {
            "attn_norm.weight": [4], "attn_q.weight": [4, 4], "attn_k.weight": [4, 2], "attn_v.weight": [4, 2],
            "attn_output.weight": [4, 4], "ffn_norm.weight": [4], "ffn_gate.weight": [4, 4],
            "ffn_up.weight": [4, 4], "ffn_down.weight": [4, 4], **biases,
        }
        self.tensors = {"token_embd.weight": [4, len(tokens)], "output_norm.weight": [4]}
        self.tensors |= {f"blk.0.{part}": dims for part, dims in block.items()}

    def bytes(self):
        out = b"GGUF" + struct.pack("<IQQ", self.version, len(self.tensors), len(self.entries))
        for key, (kind, value) in self.entries.items():
            out += text(key) + struct.pack("<I", kind) + value
        offset = 0
        for name, dims in self.tensors.items():
            kind, size = (FLOATS, 4) if len(dims) == 1 else (HALF_FLOATS, 2)
            out += text(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, kind, offset)
            for dim in dims:
                size *= dim
            offset += -(-size // self.alignment) * self.alignment
        start = -(-len(out) // self.alignment) * self.alignment
        return out.ljust(start + offset, b"\0") + self.tail


def seeds():
    qwen, llama = Model(), Model("llama", "smollm")
    yield "valid-qwen2", qwen.bytes()
    yield "valid-llama", llama.bytes()
    aligned = Model()
    aligned.alignment = 64
    aligned.entries["general.alignment"] = (U32, struct.pack("<I", 64))
    yield "valid-aligned-to-64", aligned.bytes()
    old = Model()
    old.version = 2
    yield "valid-version-2", old.bytes()
    bare = Model()
    bare.entries = {key: value for key, value in bare.entries.items() if not key.startswith("tokenizer")}
    yield "valid-without-tokenizer", bare.bytes()
    every = Model()
    for kind, value in enumerate([b"\1", b"\1", b"\1\0", b"\1\0", b"\1\0\0\0", b"\1\0\0\0", b"\0\0\x80?", b"\1"]):
        every.entries[f"k{kind}"] = (kind, value)
    for kind in (10, 11, 12):
        every.entries[f"k{kind}"] = (kind, bytes(8))
    yield "valid-every-scalar", every.bytes()
    yield "broken-cut-in-the-keys", qwen.bytes()[:700]
    yield "broken-cut-in-the-tensors", qwen.bytes()[:2600]
    yield "broken-cut-in-the-data", qwen.bytes()[:-1]
    yield "broken-many-claimed", b"GGUF" + struct.pack("<IQQ", 3, 65536, 65536)
    for name, key, value in [
        ("broken-array-too-long", "x", (ARRAY, struct.pack("<IQ", U32, 1 << 62))),
        ("broken-string-too-long", "x", (STRING, struct.pack("<Q", (1 << 64) - 1))),
        ("broken-array-of-arrays", "x", (ARRAY, struct.pack("<IQ", ARRAY, 1) + numbers(U32, [1]))),
        ("broken-merge-of-nothing", "tokenizer.ggml.merges", (ARRAY, strings(["l z"]))),
        ("broken-odd-heads", "qwen2.attention.head_count", (U32, struct.pack("<I", 4))),
    ]:
        model = Model()
        model.entries[key] = value
        yield name, model.bytes()


FOLDER.mkdir(parents=True, exist_ok=True)
for name, data in seeds():
    (FOLDER / name).write_bytes(data)
