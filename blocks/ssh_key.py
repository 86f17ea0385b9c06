"""The key that opens the nodes, kept encrypted by Prefect instead of in a file of the machine that runs the flow."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from pydantic import Field, SecretStr, model_validator

from blocks.form import FormBlock
from coopr_core.errors import InvalidInput
from coopr_core.folders import make_folder
from coopr_core.remote.keys import load_key, public_key
from coopr_core.settings import load_settings


class SshKey(FormBlock):
    """A private key that logs in to the nodes of clusters; nodes are made with its public half.

    Attributes:
        private_key: The key itself, in OpenSSH or PEM form, without a passphrase.
        private_key_path: Where the key is on the machine that runs the flow, instead of the key itself.
        public_key: The public half, in OpenSSH form; worked out from the private one when left out.

    Example:
        Save a key once, then create clusters with it:

        ```python
        from blocks import SshKey

        SshKey(private_key_path="~/.ssh/id_ed25519").save("my-key", overwrite=True)
        print(SshKey.load("my-key").authorized_key())
        ```
    """

    _block_type_name = "Coopr SSH Key"
    _block_type_slug = "coopr-ssh-key"
    _description = "The private key that logs in to the nodes of clusters."

    private_key: SecretStr | None = Field(
        default=None,
        title="Private key",
        description="The private key, in OpenSSH or PEM form, without a passphrase. Leave empty to name a file.",
    )
    private_key_path: str | None = Field(
        default=None,
        title="Path of the private key",
        description="A file with the private key on the machine that runs the flow, instead of the key itself.",
    )
    public_key: str = Field(
        default="",
        title="Public key",
        description="The public half, in OpenSSH form (ssh-ed25519 AAAA...). Worked out when left empty.",
    )

    @model_validator(mode="after")
    def _exactly_one_source(self) -> SshKey:
        if (self.private_key is None) == (not self.private_key_path):
            raise ValueError("give either the private key or the path of a file with it, not both and not neither")
        return self

    def key_path(self, folder: Path | None = None) -> Path:
        """Return a file with the private key that only its owner may read: the one named, or one below ``folder``.

        ``folder`` is the state directory's ``ssh`` unless given. Raises ``InvalidInput`` when the file named cannot be
        read.
        """
        if self.private_key is None:
            path = Path(str(self.private_key_path)).expanduser().absolute()
            if not os.access(path, os.R_OK):
                raise InvalidInput(
                    f"the private key {path} of the SSH key block cannot be read",
                    hint="correct the block's path, or save the key itself in the block",
                )
            return path
        text = self.private_key.get_secret_value().strip() + "\n"
        folder = folder or load_settings().state_dir / "ssh"
        make_folder(folder)
        path = folder / f"block-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
        if not path.exists():
            partial = path.with_name(f"{path.name}.{os.getpid()}")
            with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                file.write(text)
            partial.replace(path)
        return path

    def authorized_key(self) -> str:
        """Return the public key in OpenSSH form. Raises ``InvalidInput`` for a key that cannot be used."""
        return self.public_key.strip() or public_key(load_key(self.key_path()))
