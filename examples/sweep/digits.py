"""Train a small network on the handwritten digits that come with scikit-learn, and write down how well it reads.

The settings come from the environment, where aqueue puts a task's params; the results go to metrics.json in the
run's own directory, from where aqueue takes them. Without aqueue: `lr=0.1 hidden=16 python3 digits.py`.
"""

import json
import os
import warnings
from pathlib import Path

from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier


def main() -> None:
    """Train once, and write metrics.json."""
    lr = float(os.environ.get("lr", "0.1"))
    hidden, seed = int(os.environ.get("hidden", "16")), int(os.environ.get("seed", "0"))
    images, digits = load_digits(return_X_y=True)
    shown, kept, answers, truth = train_test_split(images / 16, digits, test_size=0.4, random_state=0)
    network = MLPClassifier(
        (hidden,), solver="sgd", learning_rate_init=lr, momentum=0.9, max_iter=30, random_state=seed
    )
    # Thirty rounds are meant to be too few for a small learning rate.
    warnings.simplefilter("ignore", ConvergenceWarning)
    network.fit(shown, answers)
    metrics = {"loss": network.loss_, "accuracy": network.score(kept, truth)}
    where = Path(os.environ.get("AQUEUE_RUN_DIR", "."))
    (where / "metrics.json").write_text(json.dumps(metrics))
    print("  ".join(f"{name} {value:.3f}" for name, value in metrics.items()))


if __name__ == "__main__":
    main()
