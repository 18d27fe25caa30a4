"""Unpacks the sources that Terraform uploaded. The buildspec has this script in single quotes."""

import gzip
import json
import pathlib

with gzip.open("sources.json.gz") as archive:
    files = json.load(archive)
for name, text in files.items():
    file = pathlib.Path(name)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
