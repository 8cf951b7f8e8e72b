#!/usr/bin/env python3
"""Writes tests/data/decoder.safetensors: what the parts of a decoder give, and the logits of a whole model.

Computed by numpy in 64-bit floats from the real models, as `gguf` dequantises them. Rows are tokens of the prompt below.

    pip install numpy==2.4.6 gguf==0.19.0
    python3 tests/data/make-decoder-goldens.py MODELS

For a block, such as `smollm2-135m.block0`, each golden is computed from the ones before it, on positions 5 and 6:
    in           the residual stream before the block
    cache.k, .v  keys (turned) and values of positions 0 to 4
    norm         `in` after attn_norm
    rope.in      keys before they are turned; rope.out: after
    attention.q  queries, turned
    attention.v  values
    attention    what the heads give, before attn_output
    mlp.in       after ffn_norm
    mlp          what ffn_down gives
    out          the residual stream after the block
Of `smollm2-135m.block29` only the ends are kept.

For a model, such as `smollm2-135m`: `tokens` (U32), and of the last position's logits `best` (U32, the best 64 tokens)
with `best.logits`, `spread.logits` (those of tokens 0, 997, 1994, …) and `sum` (the logarithm of the sum of all
exponentials).
"""

import json
import sys
from pathlib import Path

import numpy as np
from gguf import GGUFReader, quants

from safetensors_file import write

HERE = Path(__file__).parent
PROMPT = "list all files larger than 100MB in my home directory"
FIRST, ROWS = 5, 2
ALL = ["in", "cache.k", "cache.v", "norm", "rope.in", "rope.out", "attention.q", "attention.v", "attention", "mlp.in", "mlp", "out"]
ENDS = ["in", "cache.k", "cache.v", "out"]
MODELS = {
    "smollm2-135m": ("SmolLM2-135M-Instruct.Q4_1.gguf", "smollm", {0: ALL, 29: ENDS}),
    "qwen2.5-coder-0.5b": ("qwen2.5-coder-0.5b-instruct-q4_k_m.gguf", "qwen2", {0: ALL}),
    "qwen2.5-coder-1.5b": ("qwen2.5-coder-1.5b-instruct-q4_k_m.gguf", "qwen2", {}),
}


def prompt(tokenizer: str) -> list[int]:
    lines = (HERE / f"tokenizer-{tokenizer}.jsonl").read_text().splitlines()
    return next(ids for text, *ids in map(json.loads, lines) if text == PROMPT)


class Decoder:
    def __init__(self, path: Path) -> None:
        reader = GGUFReader(path)
        self.tensors = {tensor.name: tensor for tensor in reader.tensors}
        architecture = reader.fields["general.architecture"].contents()
        field = lambda name: reader.fields[f"{architecture}.{name}"].contents()
        self.blocks = field("block_count")
        self.heads, self.groups = field("attention.head_count"), field("attention.head_count_kv")
        self.head = field("embedding_length") // self.heads
        self.epsilon, self.base = field("attention.layer_norm_rms_epsilon"), field("rope.freq_base")
        # llama's files turn neighbours, qwen2's the halves of a head.
        self.pairs = np.arange(self.head).reshape(-1, 2).T if architecture == "llama" else np.arange(self.head).reshape(2, -1)

    def weight(self, name: str, rows=slice(None)) -> np.ndarray:
        tensor = self.tensors[name]
        return quants.dequantize(tensor.data[rows], tensor.tensor_type).astype(np.float64)

    def linear(self, name: str, x: np.ndarray) -> np.ndarray:
        y = x @ self.weight(f"{name}.weight").T
        return y + self.weight(f"{name}.bias") if f"{name}.bias" in self.tensors else y

    def norm(self, name: str, x: np.ndarray) -> np.ndarray:
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + self.epsilon) * self.weight(f"{name}.weight")

    def rope(self, x: np.ndarray) -> np.ndarray:
        """`x` (position, head * dim), from position 0 on."""
        split = x.reshape(len(x), -1, self.head)
        a, b = split[..., self.pairs[0]], split[..., self.pairs[1]]
        angle = np.outer(np.arange(len(x)), self.base ** (-np.arange(self.head // 2) / (self.head // 2)))[:, None]
        turned = np.empty_like(split)
        turned[..., self.pairs[0]] = a * np.cos(angle) - b * np.sin(angle)
        turned[..., self.pairs[1]] = a * np.sin(angle) + b * np.cos(angle)
        return turned.reshape(x.shape)

    def attention(self, q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
        n = len(q)
        q = q.reshape(n, self.groups, -1, self.head)
        k, v = k.reshape(n, self.groups, self.head), v.reshape(n, self.groups, self.head)
        scores = np.einsum("igrd,jgd->grij", q, k) / np.sqrt(self.head)
        scores = np.where(np.tri(n, dtype=bool), scores, -np.inf)
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        shares /= shares.sum(-1, keepdims=True)
        return np.einsum("grij,jgd->igrd", shares, v).reshape(n, -1)

    def block(self, index: int, x: np.ndarray) -> dict[str, np.ndarray]:
        """Every golden of a block for the whole prompt."""
        at = f"blk.{index}."
        made = {"in": x, "norm": self.norm(at + "attn_norm", x)}
        q, made["rope.in"], v = (self.linear(f"{at}attn_{part}", made["norm"]) for part in "qkv")
        made["attention.q"], made["rope.out"], made["attention.v"] = self.rope(q), self.rope(made["rope.in"]), v
        made["cache.k"], made["cache.v"] = made["rope.out"], v
        made["attention"] = self.attention(made["attention.q"], made["rope.out"], v)
        x = x + self.linear(at + "attn_output", made["attention"])
        made["mlp.in"] = self.norm(at + "ffn_norm", x)
        gate, up = self.linear(at + "ffn_gate", made["mlp.in"]), self.linear(at + "ffn_up", made["mlp.in"])
        made["mlp"] = self.linear(at + "ffn_down", gate / (1 + np.exp(-gate)) * up)
        return {**made, "out": x + made["mlp"]}

    def logits(self, x: np.ndarray) -> np.ndarray:
        """Of one row, in slices: the whole head in 64-bit floats takes gigabytes."""
        name = "output.weight" if "output.weight" in self.tensors else "token_embd.weight"
        x, rows = self.norm("output_norm", x), self.tensors[name].data.shape[0]
        return np.concatenate([self.weight(name, slice(at, at + 8192)) @ x for at in range(0, rows, 8192)])


def goldens(model: str, folder: Path) -> dict[str, np.ndarray]:
    file, tokenizer, kept = MODELS[model]
    decoder, tokens, made = Decoder(folder / file), prompt(tokenizer), {}
    x = decoder.weight("token_embd.weight", tokens)
    for index in range(decoder.blocks):
        parts = decoder.block(index, x)
        x = parts["out"]
        for name in kept.get(index, []):
            rows = slice(0, FIRST) if name.startswith("cache") else slice(FIRST, FIRST + ROWS)
            made[f"block{index}.{name}"] = parts[name][rows]
    logits = decoder.logits(x[-1])
    best = np.argsort(-logits)[:64]
    most = logits.max()
    made |= {"best.logits": logits[best], "spread.logits": logits[::997], "sum": most + np.log(np.exp(logits - most).sum(keepdims=True))}
    made = {f"{model}.{name}": array.astype(np.float32) for name, array in made.items()}
    return made | {f"{model}.tokens": np.array(tokens, np.uint32), f"{model}.best": best.astype(np.uint32)}


(folder,) = map(Path, sys.argv[1:])
write(HERE / "decoder.safetensors", {name: array for model in MODELS for name, array in goldens(model, folder).items()})
