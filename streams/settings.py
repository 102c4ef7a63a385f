"""Settings of every process, read from the environment (``SADA_*``) once, at the composition root.

A secret has no default: a process that needs one says which variable to set. ``sada up`` makes its own.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from schemas.topics import FIRST, full_name

if TYPE_CHECKING:
    from schemas.codecs import Codecs
    from schemas.identity_rules import IdentityRules


class SettingsError(Exception):
    """A setting is missing or unusable; the message says which and what to do."""


class Settings(BaseSettings):
    """All settings; each process uses its part.

    Raises
    ------
    pydantic.ValidationError
        naming the variable, when a value has the wrong form
    """

    model_config = SettingsConfigDict(env_prefix="SADA_", extra="ignore", frozen=True)

    # Kafka
    kafka: str = Field("127.0.0.1:9092", description="bootstrap servers, host:port[,host:port]")
    kafka_security: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    kafka_user: str | None = None
    kafka_password: SecretStr | None = None
    kafka_ca: Path | None = Field(None, description="PEM file of the broker's certificate authority")
    topic_prefix: str = Field("", description="put before every topic name: tests, generations, tenants")
    generation: str = Field(FIRST, description="whose topics these are: set by processes from the topic generations")
    app: str = Field("sada", description="consumer group and transactional id prefix")
    schema_registry: str | None = Field(None, description="URL; with it public topics are framed as Confluent does")

    # Redis
    redis: SecretStr = Field(SecretStr("redis://127.0.0.1:6379/0"), description="URL, may carry a password")

    # Places
    var: Path = Field(Path("var"), description="state, logs and reports")
    http_host: str = "127.0.0.1"
    http_port: int = Field(0, description="gateway's port; 0 takes a free one")
    metrics_host: str = Field("127.0.0.1", description="where metrics_port listens; 0.0.0.0 inside a container")
    metrics_port: int = Field(0, description="/metrics, /livez and /readyz of this process; 0 takes a free one")
    keys: Path | None = Field(None, description="key file, hashes, by `sada keys`; unset: keys.json in var")
    webhooks: Path | None = Field(None, description="JSON file: sources of signed webhooks and their secrets")
    trusted_proxies: str = Field("", description="addresses or networks, comma-separated, whose X-Forwarded-For counts")
    public_url: str | None = Field(None, description="how the world reaches the gateway; signs Twilio's webhooks")

    # Secrets, hex
    node_key: SecretStr | None = Field(None, description="keys the hash of identifiers; 32 bytes hex; never change it")
    snapshot_key: SecretStr | None = Field(None, description="HMAC of model snapshots; 32 bytes hex")
    seal_key: SecretStr | None = Field(
        None, description="wraps the secrets that seal customers' state; 32 bytes hex; lost, all state is"
    )
    seal_key_before: SecretStr | None = Field(
        None, description="the seal key of before, while workers wrap all secrets anew under another; 32 bytes hex"
    )
    inbox_secret: SecretStr | None = Field(
        None, description="signs identity tokens of the inbox and the links in messages; 32 bytes hex"
    )

    # Keys that `sada up` makes for this machine; elsewhere `sada keys add` writes them, hashed, to SADA_KEYS.
    write_key: SecretStr | None = Field(None, description="one more key with role write")
    api_key: SecretStr | None = Field(None, description="one more key with role agent: customer API and 360 page")
    webhook_secret: SecretStr | None = Field(None, description="secret of the webhook source standard/local")

    # Behaviour
    store: Literal["memory", "rocksdb"] = "memory"
    partitions: int = Field(12, ge=1, le=1024, description="of the topics that the customers agent reads")
    region: str | None = Field(
        None, description="ISO 3166 region of phone numbers without a country code, for example IR"
    )
    identity: Path | None = Field(None, description="YAML file: rules of identity; unset: the defaults")
    identity_text: str | None = Field(None, description="text of identity.yaml, of a generation that has its own")
    rules_text: str | None = Field(None, description="text of rules.yaml, of a generation that has its own")
    churn_anchor: Literal["activity", "order"] = Field("activity", description="what a customer who stays does again")
    churn_horizon_s: int = Field(14 * 86_400, ge=1, description="nothing of it for so long is churn")
    churn_gap_s: int = Field(12 * 3_600, ge=0, description="sooner than this after a score is the same visit")
    # A commit costs some 5 ms of CPU over worker and broker, whatever its size: at a trickle of signals, waiting a
    # little for company halves that. Worst case it delays an answer by as much.
    commit_linger_ms: int = Field(5, ge=0, le=1_000, description="how long a batch that is not full waits for more")
    # Each fetch costs some 4 ms of CPU over worker and broker; gathering bounds how many there are a second. Worst case
    # it, too, delays an answer by as much.
    fetch_gather_ms: int = Field(25, ge=1, le=1_000, description="how long a fetch gathers while records come")
    tick_s: float = Field(1.0, ge=0, description="seconds between ticks of wall time; 0: somebody else ticks")
    catalogue: Path | None = Field(None, description="catalogue to publish at the first start of `sada up`")
    rules: Path | None = Field(
        None, description="YAML file: which values survive, and what signals must keep; read when a worker starts"
    )
    channels: Path | None = Field(None, description="YAML or JSON file: how each outbound channel is reached")

    # How long topics that hold personal data in plain keep it, days: the bound of an erasure. `sada topics` sets it
    # where it makes a topic; of one that exists it says what differs.
    signals_days: int = Field(30, ge=1, description="a rebuild can reach back so far")
    actions_days: int = Field(7, ge=1, description="a delivery may be late by so much")
    decisions_days: int = Field(90, ge=1, description="a decision can be explained for so long")
    dead_letters_days: int = Field(14, ge=1, description="somebody has so long to look at what could not be processed")

    def secret(
        self,
        name: Literal["node_key", "snapshot_key", "seal_key", "seal_key_before", "inbox_secret", "kafka_password"],
    ) -> bytes:
        """Return a secret's bytes (hex keys decoded).

        Raises
        ------
        SettingsError
            when it is not set or not hex of at least 32 bytes
        """
        value: SecretStr | None = getattr(self, name)
        variable = f"SADA_{name.upper()}"
        if value is None:
            raise SettingsError(
                f"{variable} is not set. Make one with `openssl rand -hex 32` and keep it; `sada up` keeps its own."
            )
        if name == "kafka_password":
            return value.get_secret_value().encode()
        try:
            key = bytes.fromhex(value.get_secret_value())
        except ValueError:
            raise SettingsError(f"{variable} is not hexadecimal. Make one with `openssl rand -hex 32`.") from None
        if len(key) < 32:
            raise SettingsError(f"{variable} has {len(key)} bytes; at least 32 are needed (`openssl rand -hex 32`).")
        return key

    def kept_ms(self) -> dict[str, int]:
        """Return how long topics keep records, milliseconds, by ``schemas.topics.Topic.kept``."""
        days = {
            "signals": self.signals_days,
            "actions": self.actions_days,
            "decisions": self.decisions_days,
            "dead_letters": self.dead_letters_days,
        }
        return {name: 86_400_000 * count for name, count in days.items()}

    def topic(self, name: str) -> str:
        """Return a topic's full name."""
        return full_name(name, prefix=self.topic_prefix, generation=self.generation)

    @property
    def view_prefix(self) -> str:
        """What stands before the names of a generation's view in Redis."""
        return self.topic_prefix if self.generation == FIRST else f"{self.topic_prefix}{self.generation}."

    def codecs(self) -> "Codecs":
        """Return the codecs of this deployment's topics.

        Raises
        ------
        ValueError
            when the schema registry's URL is none
        """
        from schemas.codecs import Codecs  # noqa: PLC0415 - `sada --help` must not wait for Avro
        from schemas.registry import SchemaRegistry  # noqa: PLC0415

        return Codecs(self.topic, SchemaRegistry(self.schema_registry) if self.schema_registry else None)

    def identity_rules(self) -> "IdentityRules":
        """Return the rules of identity: those of SADA_IDENTITY, or the defaults.

        Raises
        ------
        SettingsError
            with every problem of the file, when it cannot be used
        """
        from schemas.identifiers import Forms  # noqa: PLC0415 - `sada --help` must not wait for the phone library
        from schemas.identity_file import DocumentError, read_rules  # noqa: PLC0415
        from schemas.identity_rules import IdentityRules  # noqa: PLC0415

        if self.identity is None and self.identity_text is None:
            return IdentityRules(forms=Forms(region=self.region))
        try:
            if self.identity_text is not None:
                return read_rules(self.identity_text, f"identity rules of {self.generation}", region=self.region)
            path = Path(self.identity or "")
            return read_rules(path.read_text("utf-8-sig"), str(path), region=self.region)
        except (OSError, UnicodeDecodeError) as exc:
            raise SettingsError(f"SADA_IDENTITY: {self.identity} cannot be read: {exc}") from None
        except DocumentError as exc:
            raise SettingsError(f"SADA_IDENTITY cannot be used:\n{exc}") from None

    def librdkafka(self) -> dict[str, str | int | float | bool]:
        """Return the connection part of a confluent-kafka configuration."""
        config: dict[str, str | int | float | bool] = {
            "bootstrap.servers": self.kafka,
            "security.protocol": self.kafka_security,
        }
        if self.kafka_security.startswith("SASL"):
            if self.kafka_user is None:
                raise SettingsError("SADA_KAFKA_SECURITY is SASL: set SADA_KAFKA_USER and SADA_KAFKA_PASSWORD.")
            config["sasl.mechanism"] = self.kafka_sasl_mechanism
            config["sasl.username"] = self.kafka_user
            config["sasl.password"] = self.secret("kafka_password").decode()
        if self.kafka_ca is not None:
            config["ssl.ca.location"] = str(self.kafka_ca)
        return config
