"""Symbolic links in folders that models are taken from: a folder from a stranger must not name files of the user's."""

from __future__ import annotations

from pathlib import Path

from engine.errors import InvalidInputError


def contained(folder: Path, name: str) -> Path:
    """The file `name` of a folder, with links followed as long as they stay inside.

    A snapshot in a Hugging Face cache, `models--ORG--NAME/snapshots/COMMIT`, may link to the `blobs` of the same repository:
    that is how such a cache keeps its files.

    Raises:
        InvalidInputError: it is a link that leads elsewhere.
    """
    base, target = folder.resolve(), (folder / name).resolve()
    if any(target.is_relative_to(root) for root in (base, *_hub_blobs(base))):
        return target
    raise InvalidInputError(
        f"{folder / name} is a link to {target}, outside the model's folder, which is not followed.",
        "Put a copy of the file in its place, if that file is what you want.",
    )


def _hub_blobs(base: Path) -> list[Path]:
    # Not resolved any further: a `blobs` that is itself a link would open whatever it leads to.
    snapshots = (place.parent for place in (base, *base.parents) if place.parent.name == "snapshots")
    return [place.parent / "blobs" for place in snapshots if place.parent.name.startswith("models--")]
