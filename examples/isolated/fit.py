"""Fit a line to a few points by gradient descent."""

import json
import os
from pathlib import Path

lr = float(os.environ.get("lr", "0.1"))
points: list[tuple[float, float]] = json.loads(Path("data/points.json").read_text())

slope = start = 0.0
for _ in range(200):
    for x, y in points:
        error = slope * x + start - y
        slope, start = slope - lr * error * x, start - lr * error

loss = sum((slope * x + start - y) ** 2 for x, y in points)
if not loss < 1e6:
    raise SystemExit(f"it diverges with lr={lr}")
Path("model.json").write_text(json.dumps({"slope": slope, "start": start}))
print(f"AQUEUE_METRIC loss={loss:.4f}")
