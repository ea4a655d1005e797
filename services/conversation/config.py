"""What can be turned in conversation."""

from typing import Self

from pydantic import Field, FilePath, SecretStr, field_validator, model_validator

from services.chassis.config import Address, Names, PeerSettings, ServiceSettings
from services.conversation.routing.endpoints import check_address


class Config(ServiceSettings, PeerSettings):
    history_address: Address
    metadata_address: Address
    inference_addresses: Names = Field(min_length=1)
    """Where the inference replicas are. `host:port` is one of them; `dns:///name:port` is one for each address of the
    name, which is resolved every few seconds; `k8s:///namespace/service:port` is one for each ready endpoint of a
    Kubernetes Service, whose EndpointSlices are watched as the pod's service account: the port is the name of the
    Service's port, or the number that the pods listen on. While DNS or Kubernetes is away, the last known stay."""

    redis_url: SecretStr
    """redis://, rediss:// (TLS) or unix://, with user name and password; of a cluster some of its nodes,
    `redis://a:6379,b:6379`."""
    redis_cluster: bool = False
    """Whether the URL leads to a Redis Cluster, whose nodes are asked directly."""
    redis_ca_file: FilePath | None = None
    """Who signs Redis's certificate (PEM); the system's authorities where it is not set."""
    redis_connections: int = Field(32, ge=4)
    """To each Redis server."""
    redis_prefix: str = Field("parley", pattern=r"^[a-z0-9-]{1,32}$")
    """What all keys and channels begin with, so that one Redis may serve several meshes."""

    shards: int = Field(1, ge=1, le=64)
    """Parts of the journal, by conversation: each lives on one node of a cluster. Replicas with different numbers do
    not see each other's journals."""
    max_turns: int = Field(256, ge=1)
    """Replies that this process writes at once; the others wait in the queue."""
    max_queued_turns: int = Field(10_000, ge=1)
    """Turns that may wait or run in one shard; more are refused as UNAVAILABLE, and can be sent again."""
    max_watches: int = Field(20_000, ge=1)
    """Watches that one stream of the edge may have open."""

    lease_seconds: float = Field(1.5, ge=0.5)
    """A turn whose runner did not renew its lease for so long is taken over."""
    renew_seconds: float = Field(0.4, ge=0.1)
    tick_seconds: float = Field(0.025, ge=0.001)
    """What gathers for so long is written at once: to the journal, and to each watching peer."""
    poll_seconds: float = Field(3.0, ge=0.1)
    """How often watched replies are looked at when nothing wakes their readers."""
    journal_ttl_seconds: int = Field(3600, ge=60)
    """How long the journal keeps a reply that nobody writes to."""
    linger_seconds: int = Field(600, ge=10)
    """How long the journal keeps a reply after its end."""
    stall_seconds: float = Field(120.0, ge=1)
    """A reply that got no token for so long, on any engine, ends FAILED."""
    max_claims: int = Field(5, ge=1)
    """A turn that was taken over so often without a new token, or lost so many engines, ends FAILED."""

    default_temperature: float = Field(0.7, ge=0, le=2)
    default_top_p: float = Field(0.95, gt=0, le=1)
    default_max_output_tokens: int = Field(1024, ge=1)

    @field_validator("redis_url")
    @classmethod
    def _is_redis(cls, url: SecretStr) -> SecretStr:
        if not url.get_secret_value().startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("must begin with redis://, rediss:// or unix://")
        return url

    @field_validator("inference_addresses")
    @classmethod
    def _are_endpoints(cls, addresses: tuple[str, ...]) -> tuple[str, ...]:
        for address in addresses:
            check_address(address)
        return addresses

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if 3 * self.renew_seconds > self.lease_seconds:
            raise ValueError("PARLEY_RENEW_SECONDS must be at most a third of PARLEY_LEASE_SECONDS")
        if self.redis_connections < 2 * self.shards + 4:
            raise ValueError("PARLEY_REDIS_CONNECTIONS must be at least twice PARLEY_SHARDS and 4 more")
        if self.redis_cluster and self.redis_url.get_secret_value().startswith("unix://"):
            raise ValueError("PARLEY_REDIS_CLUSTER needs redis:// or rediss://")
        return self
