"""Rex-Omni's rows: phrases and their boxes."""

from __future__ import annotations

from mirg_rewards.data.readers.converted import ConvertedRow, target_of
from mirg_rewards.data.readers.source_rows import SizeOf, SourceRow, images_of, places_of, sizes_of, value_of


def convert_row(row: SourceRow, size_of: SizeOf) -> ConvertedRow:
    """Convert a row of Rex-Omni (IDEA-Research/Rex-Omni, `tools/convert_json_data_to_tsv.py`).

    `annotation` is `{"boxes": [{"bbox": [x1, y1, x2, y2], "phrase": "dog"}]}` in pixels of the image named `image_name`.

    >>> boxes = [{"bbox": [64, 48, 320, 240], "phrase": "dog"}]
    >>> row = convert_row({"image_name": "a.jpg", "annotation": {"boxes": boxes}}, lambda image: (640, 480))
    >>> row.query, row.target.claims[0].label
    ('Detect dog.', 'dog')
    """
    images = images_of(row, "image_name", "image", "images")
    annotation = row["annotation"] if row.get("annotation") is not None else row
    items = value_of(annotation, "boxes")
    places = places_of(items, "bbox", labels=("phrase", "caption"))
    labels = list(dict.fromkeys(place.label for place in places))
    target = target_of(row, places, sizes_of(row, images, size_of))
    return ConvertedRow(f"Detect {', '.join(labels) or 'objects'}.", images, target)
