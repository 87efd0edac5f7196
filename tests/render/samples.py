"""Findings and records that the golden files show."""

from dataclasses import replace

from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.record import Coverage, Environment, Record, Skipped
from tensorcheck.sites import Site

WRONG_FEATURES = Finding(
    rule="TCK201",
    name="wrong-features",
    severity=Severity.ERROR,
    headline="`head` got 3136 features but was built for 784",
    label="float32[32, 3136] cpu, grad",
    expected="float[*, 784]  from self.head = nn.Linear(784, 10), digits.py:9",
    got="float32[32, 3136]  3136 = 16 * 14 * 14",
    site=Site(
        "digits.py",
        line=16,
        column=26,
        end_column=45,
        code="self.flat(features)",
        source="        return self.head(self.flat(features))",
        function="Digits.forward",
    ),
    module="head",
    path=(
        "conv  Conv2d -> float32[32, 16, 28, 28]",
        "pool  MaxPool2d -> float32[32, 16, 14, 14]",
        "flat  Flatten -> float32[32, 3136]",
    ),
    help="self.head = nn.Linear(3136, 10)",
    tried="the forward and the loss pass",
)
LOSS_BROADCAST = Finding(
    rule="TCK202",
    name="loss-broadcast",
    severity=Severity.ERROR,
    headline="`mse_loss` got 32 rows against 32x1 and averaged 1024 pairs",
    label="float32[32] against float32[32, 1]",
    expected="float32[32, 1]  the shape of `pred`",
    got="float32[32]  `price`",
    site=Site(
        "prices.py",
        line=104,
        column=12,
        end_column=32,
        code="loss_fn(pred, price)",
        source="    loss = loss_fn(pred, price)  # the mean over the batch",
        function="train_one_epoch",
    ),
    related=(
        Related(
            Site(
                "prices.py",
                line=98,
                column=13,
                end_column=27,
                code='batch["price"]',
                source='    price = batch["price"]',
                function="train_one_epoch",
            ),
            "`price` is made here",
        ),
    ),
    help="loss = loss_fn(pred, price.unsqueeze(1))",
    count=120,
    last_step=119,
)
FROZEN = Finding(
    rule="TCK403",
    name="frozen-parameter",
    severity=Severity.WARNING,
    headline="`encoder` has 86 parameters and none of them requires a gradient",
    site=Site("finetune.py", line=8, code="model.encoder.requires_grad_(False)"),
    module="encoder",
    notes=(
        "A frozen backbone is a usual way to fine-tune. Here the optimizer holds it too, so it is likely an oversight.",
    ),
)
UNPLACED = Finding(
    rule="TCK701",
    name="label-out-of-range",
    severity=Severity.INFO,
    headline='`batch["label"]` holds class 10 and `head` has 10 outputs',
    module="head",
)

COVERAGE = Coverage(
    models=1,
    steps=120,
    traced=3,
    experiments=("batch-independence",),
    skipped=(
        Skipped("the experiment `other-device`", "the model can't be copied: it holds a lock"),
        Skipped("the gradients inside `encoder`", "it is compiled"),
    ),
    cost=0.004,
)
RECORD = Record(
    version="0.1.0",
    command="tensorcheck run prices.py --epochs 3",
    environment=Environment("2.13.0", "3.11.7", ("cpu", "cuda:0")),
    findings=(UNPLACED, FROZEN, WRONG_FEATURES, LOSS_BROADCAST),
    coverage=COVERAGE,
)
CLEAN = replace(RECORD, findings=(), command="")

HOSTILE = Finding(
    rule="TCK202",
    name="loss-broadcast",
    severity=Severity.ERROR,
    headline="`<script>alert(1)</script>` \x1b[31mred\x1b[0m and \u202eturned",
    label="[bold]<img src=x onerror=alert(1)>[/bold]",
    expected="'\"&amp;  \x1b]0;title\x07",
    got="{{ 7 * 7 }}",
    site=Site(
        "<b>.py",
        line=3,
        column=2,
        end_column=9,
        code="f('\x1b[2J')",
        source="\tf('\x1b[2J')",
        function="<lambda>",
    ),
    notes=("Traceback:\n  File \x1b[1m'x'\n    raise",),
    path=("<i>", "\r\x08"),
    help="</style><script>alert(2)</script>",
)


def at(source: str, guilty: str, *, label: str = "float32[2] cpu") -> Finding:
    """A finding at one part of a source line."""
    column = source.index(guilty) + 1
    site = Site("train.py", line=7, column=column, end_column=column + len(guilty), code=guilty, source=source)
    return Finding("TCK202", "loss-broadcast", Severity.ERROR, "`loss` is a matrix of 2x2", label=label, site=site)
