"""The table of weights in `docs/model_zoo.md`.

python -m smallbig_keras.weights.zoo
"""

from smallbig_keras.weights.records import builtin_records


def zoo_table():
    """Formats the records that come with the package.

    Returns:
        str. A Markdown table, a row each.
    """
    rows = [
        "| `weights=` | model | classes | parameters | GMAC | of a clip | top-1 / top-5 | file |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for record in builtin_records():
        variant = "" if record.variant == "reference" else f", {record.variant}"
        accuracy = "not measured here"
        if record.accuracy:
            values, protocol = record.accuracy, record.accuracy["protocol"]
            accuracy = f"{values['top1']:.1%} / {values['top5']:.1%} ({protocol})"
        shape = " x ".join(str(n) for n in record.input_shape[:3])
        rows.append(
            f"| `{record.name}` | {record.model}{variant} | {record.classes} "
            f"| {record.parameters:,} | {record.macs / 1e9:.2f} | {shape} | {accuracy} "
            f"| {record.file or 'not published'} |"
        )
    return "\n".join(rows)


if __name__ == "__main__":
    print(zoo_table())
