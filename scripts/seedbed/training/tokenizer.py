"""The tokenizer of models that are trained from scratch: one token per word, bytes for the rest."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

SYSTEM, USER, ASSISTANT, END, PAD = "<|system|>", "<|user|>", "<|assistant|>", "<|end|>", "<|pad|>"
# Words, whole numbers, runs of # (GSM8K's mark of a final answer), single signs, other space.
PIECES = r" ?[A-Za-z_]+| ?\d+| ?#+| ?[^\sA-Za-z_\d]|\s+"
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def build_tokenizer(words: Iterable[str]) -> PreTrainedTokenizerFast:
    """Return a tokenizer in which each word is one token, with and without a space before it.

    Text outside the vocabulary falls back to its bytes, so every text can be encoded and decoded.
    The tokenizer is byte-level BPE with `ignore_merges`, as in Llama 3, but without merges. So it
    loads wherever Llama 3's does.

    Args:
        words: the vocabulary's words, numbers and signs, without spaces.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    pieces = [PAD, END, SYSTEM, USER, ASSISTANT]
    pieces += sorted(pre_tokenizers.ByteLevel.alphabet())
    space = "Ġ"  # a space in byte-level vocabularies
    for word in words:
        pieces += [space + word, word]
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges=[], ignore_merges=True))
    # The first word of a message is the same token as the word inside it.
    tokenizer.normalizer = normalizers.Prepend(" ")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Strip(" ", 1, 0)])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        additional_special_tokens=[SYSTEM, USER, ASSISTANT],
        clean_up_tokenization_spaces=False,
        model_max_length=2048,
        padding_side="left",  # set here, so that it is saved with the tokenizer
    )
    fast.chat_template = CHAT_TEMPLATE
    return fast
