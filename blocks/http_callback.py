"""A web address that is told when an operation on a cluster starts, succeeds or fails.

Promise: a message is delivered at least once, or its failure is raised after ``attempts`` times ``timeout`` seconds and
the pauses between them. Of the URL only the host, and of the secret nothing, reaches an error message.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import random
import time
import uuid
from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import urlsplit

from prefect.blocks.core import Block
from pydantic import Field, SecretStr, field_validator

from coopr_core.errors import CooprError
from coopr_core.proxies import host_of, is_loopback

Occasion = Literal["started", "succeeded", "failed", "paused", "lease-expiring", "drift"]
"""What a callback can be told of."""

FIRST_PAUSE_SECONDS = 0.5
"""The pause before the second attempt; each further one is twice as long, all with jitter."""

_WORTH_ANOTHER = frozenset({408, 425, 429})


class CallbackFailed(CooprError):
    """The receiver of a callback did not accept a message."""

    code = "callback-failed"


class HttpCallback(Block):
    """An HTTP endpoint that hears of every operation on clusters; saving the block puts it in force.

    Each message is a POST of JSON with the headers ``X-Coopr-Event`` (such as ``coopr.cluster.failed``),
    ``X-Coopr-Delivery`` (the same for every attempt at one message) and, with a secret, ``X-Coopr-Signature``:
    ``sha256=`` and the hexadecimal HMAC-SHA256 of the body. An answer of 2xx accepts it; after none, 408, 425, 429 and
    5xx it is tried again.

    Attributes:
        url: Where to POST to.
        secret: The key of the signature.
        events: What to tell of.
        tenants: Whose clusters to tell of; everybody's when empty.
        enabled: Whether anything is sent at all.
        timeout: Seconds the receiver has to answer.
        attempts: How often a message is tried.

    Example:
        Save it, and every operation from then on is told of:

        ```python
        from blocks import HttpCallback

        HttpCallback(url="https://example.org/hooks/coopr", secret="s3cret").save("on-call", overwrite=True)
        ```
    """

    _block_type_name = "Coopr HTTP Callback"
    _block_type_slug = "coopr-http-callback"
    _description = "A web address that is told when an operation on a cluster starts, succeeds or fails."

    url: str = Field(title="URL", description="Where to POST to: an http or https address.")
    secret: SecretStr | None = Field(
        default=None,
        title="Secret",
        description="The key of the HMAC-SHA256 signature in X-Coopr-Signature. Without one, messages are not signed.",
    )
    events: list[Occasion] = Field(
        default=["started", "succeeded", "failed", "lease-expiring"],
        title="Events",
        description="What to tell of.",
    )
    tenants: list[str] = Field(
        default=[], title="Tenants", description="Whose clusters to tell of. Leave empty for everybody's."
    )
    enabled: bool = Field(default=True, title="Enabled", description="Whether anything is sent at all.")
    timeout: float = Field(
        default=5, gt=0, le=60, title="Timeout", description="Seconds the receiver has to answer each attempt."
    )
    attempts: int = Field(default=3, ge=1, le=10, title="Attempts", description="How often a message is tried.")

    @field_validator("url")
    @classmethod
    def _is_a_web_address(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be an http or https address, such as https://example.org/hook")
        return value

    def wants(self, event: str, tenant: str) -> bool:
        """Whether to tell of this event (its full name or the last part) on a cluster of that tenant."""
        return self.enabled and event.rpartition(".")[2] in self.events and tenant in (self.tenants or [tenant])

    def send(self, event: str, payload: Mapping[str, Any]) -> int:
        """Deliver one message; the number of attempts it took. Raises ``CallbackFailed``."""
        import httpx

        body = json.dumps(payload, ensure_ascii=False, default=str).encode()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "coopr",
            "X-Coopr-Event": event,
            "X-Coopr-Delivery": str(uuid.uuid4()),
        }
        if self.secret is not None:
            headers["X-Coopr-Signature"] = signature(self.secret.get_secret_value(), body)
        reason = ""
        with httpx.Client(timeout=self.timeout, trust_env=not is_loopback(host_of(self.url))) as client:
            for attempt in range(1, self.attempts + 1):
                try:
                    with client.stream("POST", self.url, content=body, headers=headers) as answer:
                        if answer.is_success:
                            return attempt
                        reason = f"it answered {answer.status_code}"
                        if answer.status_code < 500 and answer.status_code not in _WORTH_ANOTHER:
                            break
                except httpx.TransportError as error:
                    reason = type(error).__name__
                if attempt < self.attempts:
                    time.sleep(FIRST_PAUSE_SECONDS * 2 ** (attempt - 1) * random.uniform(0.5, 1.5))
        tries = "1 attempt" if attempt == 1 else f"{attempt} attempts"
        raise CallbackFailed(
            f"{event} could not be delivered to {self.receiver} in {tries}: {reason}",
            hint=f"Correct or disable the block {self._block_type_slug}/{self._block_document_name or ''} in Prefect.",
        )

    @property
    def receiver(self) -> str:
        """Who is told, as it may be shown: the address without its path, which may be a secret."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")


def signature(secret: str, body: bytes) -> str:
    """Return what ``X-Coopr-Signature`` must be for this body."""
    return f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"
