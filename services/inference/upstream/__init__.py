"""Models that another server runs: vLLM, SGLang, llama.cpp's, or any that speaks OpenAI's completions.

The prompt, its length, and the place where a reply goes on are ours: the chat template is applied and tokenized here,
and the upstream is given token ids, those of the reply that were emitted before included, or text where it takes
nothing else (`openai`). What holds then:

- The text and the tokens of a reply agree with each other and with the tokenizer, whatever the upstream's are.
- A reply that goes on elsewhere continues the same text. Given ids, greedy decoding continues it as it would have, up
  to ties that the kernels' rounding decides. A sampled one is continued consistently, but not with the same words as if
  it had never been broken off: the upstream draws with its own generator, which starts anew from the seed.
- Tokens are the upstream's own where it tells their ids, and otherwise as our tokenizer cuts the text (see `piece`).
"""
