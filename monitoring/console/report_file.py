"""A shift report as one HTML file, with its pictures inside: to be printed, sent, or kept."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING

from monitoring.console.formats import Formats
from monitoring.console.pictures import NoPicture
from monitoring.console.rendering import HERE, environment
from monitoring.console.texts import catalogue

if TYPE_CHECKING:
    from datetime import tzinfo

    from ingest.decision import Decision
    from monitoring.console.pictures import ConsolePictures
    from monitoring.console.settings import Language
    from monitoring.console.shift_report import ShiftReport
    from monitoring.record.queries import RecordReader


def report_html(
    report: ShiftReport,
    reader: RecordReader,
    pictures: ConsolePictures,
    *,
    language: Language,
    zone: tzinfo | None,
    view: str | None = None,
) -> str:
    """The file's text. A picture that is not kept any more is left out. Raises DatabaseError."""

    def picture(decision: Decision, what: str) -> str:
        try:
            if what == "heat.png":
                return _inside("image/png", pictures.heat(decision))
            found = reader.decision(decision.decided_at, decision.id)
            return "" if found is None else _inside("image/jpeg", pictures.small(found))
        except NoPicture:
            return ""

    return (
        environment()
        .get_template("report_file.html")
        .render(
            t=catalogue(language),
            f=Formats(language, zone),
            report=report,
            name=view,
            picture=picture,
            standalone=True,
            style=(HERE / "static" / "console.css").read_text(encoding="utf-8"),
        )
    )


def _inside(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{b64encode(data).decode('ascii')}"
