"""Which way round a value is better, as its name says."""

import re

_LOWER_IS_BETTER = frozenset({*("loss", "losses", "error", "err", "mse", "mae", "rmse", "nll", "perplexity", "ppl")})
_HIGHER_IS_BETTER = frozenset(
    {*("acc", "accuracy", "f1", "auc", "auroc", "precision", "recall", "iou", "miou", "dice", "bleu", "psnr", "ssim")}
)
_MEANT = frozenset({"max", "min", "maximum", "minimum", "highest", "lowest", "worst", "largest", "smallest", "neg"})
"""Words that say which way it is meant."""


def lower_is_better(*names: str) -> bool | None:
    """Whether the names of a value and of the best so far speak of a loss; None where they say neither or both.

    >>> lower_is_better("val_loss", "best_loss"), lower_is_better("accuracy", "best"), lower_is_better("score", "best")
    (True, False, None)
    """
    words = {word for name in names for word in re.findall(r"[a-z]+\d?", name.lower().replace("_", " "))}
    is_loss, is_score = bool(words & _LOWER_IS_BETTER), bool(words & _HIGHER_IS_BETTER)
    return None if is_loss is is_score or words & _MEANT else is_loss
