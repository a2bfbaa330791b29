"""A real Apache Kafka that asks who is there: TLS, client certificates, PLAIN and SCRAM, each on a port of its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import trustme
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from tests.brokers import KafkaBroker, free_port

if TYPE_CHECKING:
    from pathlib import Path

    from ingest.kafka.settings import KafkaSettings

USER, PASSWORD = "patchline", "correct horse"
SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule"
PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule"


@dataclass
class SecuredBroker:
    """Its broker, and what clients need. `kafka.settings()` still connects in the clear, as the tests' own hand."""

    kafka: KafkaBroker
    folder: Path
    tls_port: int = field(default_factory=free_port)
    sasl_port: int = field(default_factory=free_port)

    @classmethod
    def start(cls, home: Path, folder: Path) -> SecuredBroker:
        """Certificates, users, and a broker that knows them."""
        made = cls(KafkaBroker(home, folder / "kafka"), folder)
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(made.ca_file))
        trustme.CA().cert_pem.write_to_path(str(made.foreign_ca_file))
        _write(authority.issue_cert("127.0.0.1"), folder / "broker.pem")
        _write(authority.issue_cert("patchline@plant.example"), made.client_file)
        made.kafka.overrides |= made._properties()
        made.kafka.format_options = ["--add-scram", f"SCRAM-SHA-512=[name={USER},password={PASSWORD}]"]
        made.kafka.start()
        return made

    @property
    def ca_file(self) -> Path:
        """Who signed the broker's certificate."""
        return self.folder / "ca.pem"

    @property
    def foreign_ca_file(self) -> Path:
        """Somebody who did not."""
        return self.folder / "foreign.pem"

    @property
    def client_file(self) -> Path:
        """A client's key and certificate."""
        return self.folder / "client.pem"

    def tls(self, **changes: object) -> KafkaSettings:
        """By a client certificate."""
        pem = str(self.client_file)
        ours: dict[str, object] = {
            "security": "tls",
            "ca_file": str(self.ca_file),
            "certificate_file": pem,
            "key_file": pem,
        }
        return self.kafka.settings(**{"bootstrap_servers": f"127.0.0.1:{self.tls_port}", **ours, **changes})

    def sasl(self, **changes: object) -> KafkaSettings:
        """By a password, over TLS."""
        ours: dict[str, object] = {
            "security": "sasl_tls",
            "ca_file": str(self.ca_file),
            "username": USER,
            "password": PASSWORD,
        }
        return self.kafka.settings(**{"bootstrap_servers": f"127.0.0.1:{self.sasl_port}", **ours, **changes})

    def _properties(self) -> dict[str, str]:
        ports = {"PLAINTEXT": self.kafka.port, "CONTROLLER": self.kafka.controller_port}
        ports |= {"SSL": self.tls_port, "SASL_SSL": self.sasl_port}
        listeners = ",".join(f"{name}://127.0.0.1:{port}" for name, port in ports.items())
        plain = f'{PLAIN} required user_{USER}="{PASSWORD}";'
        return {
            "listeners": listeners,
            "advertised.listeners": listeners,
            "listener.security.protocol.map": ",".join(
                f"{name}:{'PLAINTEXT' if name == 'CONTROLLER' else name}" for name in ports
            ),
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self.folder / "broker.pem"),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.ca_file),
            "listener.name.ssl.ssl.client.auth": "required",
            "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512",
            "listener.name.sasl_ssl.plain.sasl.jaas.config": plain,
            "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": f"{SCRAM} required;",
        }


def _write(certificate: trustme.LeafCert, path: Path) -> None:
    """Key and chain in one PEM file, the key as Kafka reads it (PKCS #8)."""
    key = load_pem_private_key(certificate.private_key_pem.bytes(), None)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(pem + b"".join(each.bytes() for each in certificate.cert_chain_pems))
