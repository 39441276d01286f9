"""Train a small neural network on two half moons, with nothing but Python.

The settings come from the environment, where aqueue puts a task's params. What came of it goes to metrics.json
in the run's own directory. Without aqueue it runs just as well: `lr=0.1 python3 train.py`.
"""

import json
import math
import os
import random
import sys
import time
from pathlib import Path

Point = tuple[float, float, int]
"""Its position, and the moon it belongs to: 0 or 1."""

DIVERGED = 75
"""The exit code that tells the queue to try once more."""

GUESSING = math.log(2)
"""The loss of somebody who says "half and half" to every point."""


class Network:
    """One hidden layer of tanh units, and a probability at the end of it.

    Args:
        hidden: how many units.
        chance: what the first weights come from.
    """

    def __init__(self, hidden: int, chance: random.Random) -> None:
        self.units = [[chance.gauss(0, 1) for _ in range(3)] for _ in range(hidden)]
        self.out = [chance.gauss(0, 0.1) for _ in range(hidden)]
        self.bias = 0.0

    def outputs(self, x: float, y: float) -> tuple[list[float], float]:
        """Return the output of each unit for a point, and the probability that it belongs to moon 1."""
        said = [math.tanh(a * x + b * y + c) for a, b, c in self.units]
        total = self.bias + sum(weight * value for weight, value in zip(self.out, said, strict=True))
        return said, 1 / (1 + math.exp(-max(-30.0, min(30.0, total))))

    def learn(self, point: Point, lr: float) -> float:
        """Take one step downhill, and return the loss before it."""
        x, y, moon = point
        said, likely = self.outputs(x, y)
        slope = likely - moon
        for unit, (value, weight) in enumerate(zip(said, self.out, strict=True)):
            inner = slope * weight * (1 - value * value)
            a, b, c = self.units[unit]
            self.units[unit] = [a - lr * inner * x, b - lr * inner * y, c - lr * inner]
            self.out[unit] = weight - lr * slope * value
        self.bias -= lr * slope
        return -math.log(likely if moon else 1 - likely)

    def accuracy(self, points: list[Point]) -> float:
        """The share of the points that it puts with the right moon."""
        return sum((self.outputs(x, y)[1] > 0.5) == bool(moon) for x, y, moon in points) / len(points)


def moons(count: int, noise: float, chance: random.Random) -> list[Point]:
    """Points on two half moons that reach into each other."""
    points = []
    for number in range(count):
        angle, moon = chance.uniform(0, math.pi), number % 2
        x, y = (1 - math.cos(angle), 0.5 - math.sin(angle)) if moon else (math.cos(angle), math.sin(angle))
        points.append((x + chance.gauss(0, noise), y + chance.gauss(0, noise), moon))
    return points


def setting(name: str, default: float) -> float:
    """A number from the environment."""
    return float(os.environ.get(name, default))


def main() -> int:
    """Train, print how it goes, and write down what came of it."""
    began = time.monotonic()
    hidden, epochs, noise = int(setting("hidden", 8)), int(setting("epochs", 100)), setting("noise", 0.2)
    # Another attempt is a more careful one.
    lr = setting("lr", 0.1) / setting("cooling", 1) ** (setting("AQUEUE_ATTEMPT", 1) - 1)
    chance = random.Random(setting("seed", 1))
    known, unknown = moons(400, noise, chance), moons(1000, noise, chance)
    network = Network(hidden, chance)
    print(f"{hidden} hidden units, learning rate {lr:g}, {len(known)} points", flush=True)
    loss = math.inf
    for epoch in range(1, epochs + 1):
        chance.shuffle(known)
        loss = sum(network.learn(point, lr) for point in known) / len(known)
        if epoch % 25 == 0 or epoch == epochs:
            print(f"epoch {epoch:3}  loss {loss:.3f}  accuracy {network.accuracy(unknown):.1%}", flush=True)
        if loss > GUESSING:
            print(f"epoch {epoch:3}  loss {loss:.3f}: worse than guessing, it diverges", file=sys.stderr)
            return DIVERGED
    metrics = {
        "name": os.environ.get("AQUEUE_NAME", "train"),
        "hidden": hidden,
        "lr": lr,
        "epochs": epochs,
        "loss": loss,
        "accuracy": network.accuracy(unknown),
        "seconds": time.monotonic() - began,
    }
    target = Path(os.environ.get("AQUEUE_RUN_DIR", ".")) / "metrics.json"
    # Whole or not at all: somebody may be reading it.
    unfinished = target.with_suffix(".new")
    unfinished.write_text(json.dumps(metrics, indent=2) + "\n")
    unfinished.replace(target)
    return 0


if __name__ == "__main__":
    sys.exit(main())
