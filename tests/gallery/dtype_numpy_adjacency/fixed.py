"""Two-layer graph convolution, written by hand, on a graph with three communities."""

import numpy as np
import torch
from torch import nn

CLASSES = 3


def community_graph(nodes: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    label = rng.integers(0, CLASSES, nodes)
    same = label[:, None] == label[None, :]
    edge = rng.random((nodes, nodes)) < np.where(same, 0.12, 0.01)
    edge = np.triu(edge, 1)
    return edge | edge.T, label


def normalised(edges: np.ndarray) -> torch.Tensor:
    """The symmetric normalisation of Kipf and Welling, with self loops."""
    a = edges + np.eye(len(edges))
    d = 1 / np.sqrt(a.sum(1))
    return torch.from_numpy(d[:, None] * a * d[None, :]).float()


class GraphConv(nn.Module):
    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.linear = nn.Linear(n_in, n_out)

    def forward(self, h: torch.Tensor, adjacency: torch.Tensor) -> torch.Tensor:
        return adjacency @ self.linear(h)


class GCN(nn.Module):
    def __init__(self, adjacency: torch.Tensor, n_features: int) -> None:
        super().__init__()
        self.register_buffer("adjacency", adjacency)
        self.first = GraphConv(n_features, 16)
        self.second = GraphConv(16, CLASSES)
        self.dropout = nn.Dropout(0.3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.relu(self.first(x, self.adjacency))
        return self.second(self.dropout(h), self.adjacency)


def main() -> None:
    torch.manual_seed(7)
    rng = np.random.default_rng(7)
    edges, label = community_graph(180, rng)
    hint = np.eye(CLASSES)[label] * 0.5
    x = torch.tensor(np.hstack([hint, np.zeros((180, 5))]) + rng.normal(0, 1, (180, 8)), dtype=torch.float32)
    y = torch.from_numpy(label)
    known = torch.zeros(180, dtype=torch.bool)
    known[:60] = True

    model = GCN(normalised(edges), x.shape[1])
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02, weight_decay=5e-4)
    loss_fn = nn.CrossEntropyLoss()
    for epoch in range(60):
        model.train()
        optimizer.zero_grad()
        loss = loss_fn(model(x)[known], y[known])
        loss.backward()
        optimizer.step()
        if epoch % 10 == 9:
            model.eval()
            with torch.no_grad():
                hits = model(x)[~known].argmax(1) == y[~known]
            print(f"{epoch + 1:3d}: loss {loss.item():.3f}, accuracy on unlabelled nodes {hits.float().mean().item():.2f}")


if __name__ == "__main__":
    main()
