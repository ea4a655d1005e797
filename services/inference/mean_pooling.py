"""Sentence embeddings as the mean of an encoder's last layer.

N. Reimers and I. Gurevych, "Sentence-BERT: sentence embeddings using siamese BERT-networks", EMNLP 2019.
"""

from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import AutoModel
from transformers.utils import logging as transformers_logging

from services.inference.embedder import Embedding, normalised


class MeanPooling:
    """Embeds a text on one core. Belongs to the thread that made it."""

    def __init__(self, folder: Path, longest: int) -> None:
        """`longest` is the most tokens that it takes in. Raises OSError or ValueError for files that are no model."""
        torch.set_num_threads(1)  # of this thread alone; the others are the engine's
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(longest)
        # It would write to the terminal by itself.
        transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
        transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        model, loading = AutoModel.from_pretrained(
            folder,
            dtype=torch.float32,
            add_pooling_layer=False,
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            output_loading_info=True,
        )
        # They would be left random.
        if missing := sorted(loading["missing_keys"]):
            raise ValueError(f"its weights lack {', '.join(missing[:3])}, {len(missing)} in all")
        self._model = model.train(mode=False)

    @torch.inference_mode()
    def __call__(self, text: str) -> Embedding:
        encoded = self._tokenizer.encode(text)
        ids = torch.tensor([encoded.ids])
        # Alone and without padding, so that all of its tokens count.
        last = self._model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[0]
        return Embedding(normalised(last.mean(dim=0).numpy()), len(encoded.ids), bool(encoded.overflowing))
