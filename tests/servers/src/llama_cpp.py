"""Serves a tiny model with llama.cpp's own server. This program creates the model: it has random weights and writes nonsense.

    llama_cpp.py FOLDER PORT CONTEXT_TOKENS
"""

import sys
import threading
from pathlib import Path

import gguf
import numpy
import xllamacpp

EMBEDDING = 64
HEADS = 4
FEED_FORWARD = 128
# Clients request the model by this name.
NAME = "tiny"
CHAT_TEMPLATE = (
    "{% for message in messages %}<{{ message.role }}>{{ message.content }}</{{ message.role }}>{% endfor %}<assistant>"
)


def write_model(path: Path, context_tokens: int) -> None:
    """Writes a model of one layer. Its tokens are the 256 bytes and three special tokens."""
    tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    kinds = [gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL, gguf.TokenType.CONTROL] + [gguf.TokenType.BYTE] * 256
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name(NAME)
    writer.add_context_length(context_tokens)
    writer.add_embedding_length(EMBEDDING)
    writer.add_block_count(1)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(EMBEDDING // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * len(tokens))
    writer.add_token_types(kinds)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_chat_template(CHAT_TEMPLATE)

    random = numpy.random.default_rng(7)

    def add(name: str, *shape: int) -> None:
        writer.add_tensor(name, random.normal(0, 0.1, shape).astype(numpy.float32))

    def add_norm(name: str) -> None:
        writer.add_tensor(name, numpy.ones(EMBEDDING, dtype=numpy.float32))

    add("token_embd.weight", len(tokens), EMBEDDING)
    add("output.weight", len(tokens), EMBEDDING)
    add_norm("output_norm.weight")
    add_norm("blk.0.attn_norm.weight")
    add_norm("blk.0.ffn_norm.weight")
    for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
        add(f"blk.0.{name}.weight", EMBEDDING, EMBEDDING)
    add("blk.0.ffn_gate.weight", FEED_FORWARD, EMBEDDING)
    add("blk.0.ffn_up.weight", FEED_FORWARD, EMBEDDING)
    add("blk.0.ffn_down.weight", EMBEDDING, FEED_FORWARD)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main() -> None:
    folder, port, context_tokens = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    model = folder / f"{NAME}.gguf"
    write_model(model, context_tokens)
    params = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.model_alias = {NAME}
    params.hostnames = ["127.0.0.1"]
    params.port = port
    params.n_ctx = context_tokens
    params.n_predict = 16
    params.n_parallel = 1
    params.warmup = False
    server = xllamacpp.Server(params)
    print(f"listening on {server.listening_address}", flush=True)
    threading.Event().wait()


main()
