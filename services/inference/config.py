"""What can be turned in inference."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from services.chassis.config import PeerSettings, ServiceSettings
from services.inference.bundled import MODEL_ID


class Config(ServiceSettings, PeerSettings):
    engine: Literal["torch", "fake"] = "torch"
    """`fake` needs no model: its replies are made of a few words, as tests and measurements want them."""
    model: str = Field(MODEL_ID, min_length=1)
    """The bundled model, a folder with safetensors, or a Hugging Face id."""
    cache: Path = Path("~/.cache/parley")
    """Where converted and fetched models are kept."""
    device: str = Field("auto", pattern="^(auto|cpu|cuda(:[0-9]+)?)$")
    """`auto` is a GPU if there is one."""
    threads: int = Field(0, ge=0, le=1024)
    """For steps on a CPU; 0 is one for each core."""

    slots: int = Field(16, ge=1, le=4096)
    """Generations in the batch."""
    waiting: int = Field(256, ge=0)
    """Generations that wait for a slot; more are refused."""
    cache_tokens: int = Field(32_768, ge=16)
    """Of the key-value cache, for all slots together; memory is taken as it fills."""
    max_context_length: int = Field(8192, ge=16)
    """Of prompt and reply together; the model's own and `cache_tokens` bound it too."""
    prefill_tokens: int = Field(64, ge=1)
    """Tokens of prompts in one step: more take less time in all, but stall running replies longer. A GPU wants 2048."""
    generations_per_stream: int = Field(2048, ge=1)
    """Of one caller's GenerateMany; more are refused."""

    default_temperature: float = Field(0.7, ge=0, le=2)
    """Where a request names none; so for the next three."""
    default_top_p: float = Field(0.95, gt=0, le=1)
    default_max_output_tokens: int = Field(1024, ge=1)
    default_seed: int = Field(0, ge=0, lt=2**31)

    fake_tokens_per_second: float = Field(50, ge=0)
    """Of each reply of the fake engine; 0 is as fast as possible."""
    fake_first_token_seconds: float = Field(0, ge=0)
    fake_words: int = Field(32, ge=1)
    """Of a reply whose prompt does not choose its length."""
