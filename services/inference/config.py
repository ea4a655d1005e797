"""What can be turned in inference."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, model_validator

from services.chassis.config import PeerSettings, ServiceSettings
from services.inference.blocks import BLOCK_TOKENS
from services.inference.bundled import MODEL_ID
from services.inference.sentence_embedder import MODEL_ID as EMBEDDING_MODEL_ID


class Config(ServiceSettings, PeerSettings):
    engine: Literal["torch", "upstream", "fake"] = "torch"
    """`upstream` is another server with the model. `fake` needs none: its replies are made of a few words, as tests and
    measurements want them.
    """
    model: str = Field(MODEL_ID, min_length=1)
    """The bundled model, a folder with safetensors, or a Hugging Face id."""
    cache: Path = Path("~/.cache/parley")
    """Where converted and fetched models are kept."""
    embedding_model: str = EMBEDDING_MODEL_ID
    """The bundled one, a folder as sentence-transformers lays them out, or none if empty. Loaded when first asked."""
    device: str = Field("auto", pattern="^(auto|cpu|cuda(:[0-9]+)?)$")
    """`auto` is a GPU if there is one."""
    precision: Literal["auto", "int8", "float32"] = "auto"
    """Of the weights on a CPU: `auto` is int8 for the families of models that it is served for, else float32. A GPU
    computes in bfloat16.
    """
    threads: int = Field(0, ge=0, le=1024)
    """For steps on a CPU; 0 is one for each core."""

    slots: int = Field(16, ge=1, le=4096)
    """Generations in the batch."""
    waiting: int = Field(256, ge=0)
    """Generations that wait for a slot; more are refused."""
    pending_prompt_tokens_limit: int = Field(65_536, ge=1)
    """Tokens of prompts that wait to be computed, those in the batch included; more are refused."""
    max_expected_wait: float = Field(30, gt=0)
    """Seconds until the first token, as measured steps foretell them; who would wait longer is refused."""
    tenant_share: float = Field(0.75, gt=0, le=1)
    """The part of the two queues above that one tenant may fill; 1 where there is but one."""
    cache_tokens: int = Field(32_768, ge=BLOCK_TOKENS, multiple_of=BLOCK_TOKENS)
    """Of the key-value cache, for all slots together and for prompts that come again; memory is taken as it fills."""
    max_context_length: int = Field(8192, ge=16)
    """Of prompt and reply together; the model's own and `cache_tokens` bound it too."""
    prefill_tokens: int = Field(64, ge=1)
    """Tokens of prompts in one step: more take less time in all, but stall running replies longer. A GPU wants 2048."""
    generations_per_stream: int = Field(2048, ge=1)
    """Of one caller's GenerateMany; more are refused."""

    step_seconds: float = Field(120, gt=0)
    """A step that takes longer has hung: liveness turns red, so that Kubernetes restarts the pod."""
    loading_seconds: float = Field(3600, gt=0)
    """The same for a model that is not ready, its download included."""

    default_temperature: float = Field(0.7, ge=0, le=2)
    """Where a request names none; so for the next three."""
    default_top_p: float = Field(0.95, gt=0, le=1)
    default_max_output_tokens: int = Field(1024, ge=1)
    default_seed: int = Field(0, ge=0, lt=2**31)

    upstream_url: str = Field("", pattern=r"^(https?://[^\s@]+)?$")
    """Of vLLM, SGLang, llama.cpp's server, or another with OpenAI's completions; with or without /v1."""
    upstream_api_key: SecretStr = SecretStr("")
    upstream_model: str = Field("", max_length=256)
    """As the upstream names it, and our callers too."""
    upstream_tokenizer: str = ""
    """A folder, or a Hugging Face id, with the model's tokenizer.json and chat template; empty is `upstream_model`."""
    upstream_dialect: Literal["auto", "vllm", "sglang", "llama.cpp", "openai"] = "auto"
    """`auto` asks the upstream what it is."""
    upstream_context_length: int = Field(0, ge=0)
    """Of prompt and reply together; 0 is what the upstream says, which bounds it too."""
    upstream_connect_seconds: float = Field(5, gt=0)
    upstream_answer_seconds: float = Field(5, gt=0)
    """For everything but replies."""
    upstream_first_token_seconds: float = Field(120, gt=0)
    """The upstream's own queue and the prompt included."""
    upstream_next_token_seconds: float = Field(20, gt=0)

    fake_tokens_per_second: float = Field(50, ge=0)
    """Of each reply of the fake engine; 0 is as fast as possible."""
    fake_first_token_seconds: float = Field(0, ge=0)
    fake_words: int = Field(32, ge=1)
    """Of a reply whose prompt does not choose its length."""

    @model_validator(mode="after")
    def _require_upstream(self) -> "Config":
        if self.engine == "upstream" and not (self.upstream_url and self.upstream_model):
            raise ValueError("PARLEY_ENGINE=upstream needs PARLEY_UPSTREAM_URL and PARLEY_UPSTREAM_MODEL.")
        return self
