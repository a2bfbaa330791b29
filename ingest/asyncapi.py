"""The AsyncAPI 3.0 document of our topics, generated from the contracts.

`python -m ingest.asyncapi > docs/asyncapi.json` writes it anew.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from pydantic.json_schema import models_json_schema

from ingest import dead_letter, frame
from ingest.bank_event import BankEvent
from ingest.bank_state import BankState
from ingest.command import Command
from ingest.contract import SCHEMA, Message
from ingest.decision import Decision
from ingest.drift_event import DriftEvent
from ingest.feedback import Feedback
from ingest.kafka.topics import TOPICS, Topic

JSON_TOPICS: dict[str, type[Message]] = {
    "decisions": Decision,
    "decisions.shadow": Decision,
    "banks": BankState,
    "bank-events": BankEvent,
    "drift-events": DriftEvent,
    "commands": Command,
    "feedback": Feedback,
}
MORE_FRAMES = " Further topics with the same messages may be read beside it (`kafka.more_frame_topics`)."
REFERENCE = "#/components/schemas/{model}"

FRAME_HEADERS: dict[str, str] = {
    frame.FRAME_ID: "Names the frame; default <partition>-<offset>, in a further topic <topic>-<partition>-<offset>.",
    frame.SEQUENCE: "Counts up by one from each start of the camera: a gap is a frame lost before Kafka.",
    frame.CAPTURED_AT: "RFC 3339 with an offset.",
    frame.CONTENT_TYPE: "Media type of the image.",
    frame.PRODUCT: "The product on the line; the view becomes line/camera@product.",
    frame.PART_SERIAL: "Serial number of the part.",
    frame.FILE_NAME: "The file that the picture came from.",
    frame.PATCHLINE_SCHEMA: f"Major version of this contract; default {SCHEMA}.",
    frame.CLAIM_URI: (
        "Claim check, where the value is empty: where the image lies, below one of the reader's claims.prefixes."
    ),
    frame.CLAIM_SHA256: "Claim check: sha256 of the image, 64 hexadecimal digits.",
    frame.CLAIM_SIZE: "Claim check: bytes of the image.",
    frame.REPLAY_OF: "The dead letter this frame replays, as topic:partition:offset.",
}
DEAD_LETTER_HEADERS: dict[str, str] = {
    dead_letter.REASON: f"One of {', '.join(frame.DeadLetterReason)}.",
    dead_letter.DETAIL: "What was wrong, in words.",
    dead_letter.SOURCE: "The record of frames, as topic:partition:offset.",
    dead_letter.AT: "When, RFC 3339.",
    dead_letter.SHA256: "sha256 of the value as it came.",
    dead_letter.SIZE: "Bytes of the value as it came; more than the value holds where it would not fit.",
    dead_letter.LEFT_OUT: "What would not fit, of value, headers and key; absent where nothing was left out.",
    dead_letter.FIRST_OFFSET: "Of a broken batch: it stands for all records from this offset to the source's.",
}


def document(version: str) -> dict[str, Any]:
    """The whole document; `version` is the release that it describes."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Patchline",
            "version": version,
            "description": "Frames in, decisions out, and what a trainer and its people say to each other.",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {topic.name: _channel(topic) for topic in TOPICS},
        "operations": {
            "sendFrame": _operation("receive", "frames"),
            **{
                f"read_{name.replace('.', '_')}": _operation("send", name)
                for name in ("decisions", "frames.dead-letter")
            },
        },
        "components": {"messages": _messages(), "schemas": _schemas()},
    }


def _channel(topic: Topic) -> dict[str, Any]:
    return {
        "address": topic.name,
        "description": f"Keyed by {topic.key}.{MORE_FRAMES if topic.name == 'frames' else ''}",
        "messages": {topic.name: {"$ref": f"#/components/messages/{topic.name}"}},
        "bindings": {"kafka": {"topic": topic.name}},
    }


def _operation(action: str, topic: str) -> dict[str, Any]:
    return {"action": action, "channel": {"$ref": f"#/channels/{topic}"}}


def _messages() -> dict[str, Any]:
    seldom = {dead_letter.LEFT_OUT, dead_letter.FIRST_OFFSET}
    always = [name for name in DEAD_LETTER_HEADERS if name not in seldom]
    image = {"contentType": "image/*", "payload": {"description": "The encoded image: JPEG, PNG, BMP or TIFF."}}
    return {
        "frames": image | {"headers": _headers(FRAME_HEADERS, required=[])},
        "frames.dead-letter": image | {"headers": _headers(FRAME_HEADERS | DEAD_LETTER_HEADERS, required=always)},
        **{
            name: {"payload": {"$ref": REFERENCE.format(model=message.__name__)}}
            for name, message in JSON_TOPICS.items()
        },
    }


def _headers(described: dict[str, str], required: list[str]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {name: {"type": "string", "description": text} for name, text in described.items()},
        "required": required,
    }


def _schemas() -> dict[str, Any]:
    models = sorted(set(JSON_TOPICS.values()), key=lambda model: model.__name__)
    _, schemas = models_json_schema([(model, "serialization") for model in models], ref_template=REFERENCE)
    found: dict[str, Any] = schemas["$defs"]
    return found


if __name__ == "__main__":
    from importlib.metadata import version

    json.dump(document(version("patchline")), sys.stdout, indent=2)
    sys.stdout.write("\n")
