"""Node classification on a random graph with two hand-made graph convolutions."""
import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


class GraphConv(nn.Module):
    def __init__(self, dim_in, dim_out):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(dim_in, dim_out))
        self.bias = nn.Parameter(torch.zeros(dim_out))
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))

    def forward(self, nodes, adjacency):
        return adjacency @ (nodes @ self.weight) + self.bias


class GCN(nn.Module):
    def __init__(self, dim_in, dim_hidden, classes):
        super().__init__()
        self.gc1 = GraphConv(dim_in, dim_hidden)
        self.gc2 = GraphConv(dim_hidden, classes)

    def forward(self, nodes, adjacency):
        hidden = F.dropout(F.relu(self.gc1(nodes, adjacency)), 0.3, self.training)
        return self.gc2(hidden, adjacency)


def block_graph(nodes=150, blocks=3, seed=0):
    rng = np.random.default_rng(seed)
    block = rng.integers(0, blocks, nodes)
    likely = np.where(block[:, None] == block[None, :], 0.15, 0.01)
    edges = np.triu(rng.random((nodes, nodes)) < likely, 1)
    a = edges + edges.T + np.eye(nodes)
    scale = 1 / np.sqrt(a.sum(1))
    features = rng.normal(size=(nodes, 8)) + 0.5 * np.eye(8)[block]
    to_float = lambda array: torch.tensor(array, dtype=torch.float32)
    return to_float(features), to_float(scale[:, None] * a * scale[None, :]), torch.tensor(block)


torch.manual_seed(0)
nodes, adjacency, labels = block_graph()
train_mask = torch.rand(len(labels)) < 0.5
model = GCN(8, 16, 3)
optimizer = torch.optim.Adam(model.parameters(), lr=0.02, weight_decay=5e-4)
history = []

for epoch in range(60):
    model.train()
    optimizer.zero_grad()
    logits = model(nodes, adjacency)
    loss = F.cross_entropy(logits[train_mask], labels[train_mask])
    loss.backward()
    optimizer.step()
    history.append(loss)
    if epoch % 10 == 9:
        model.eval()
        with torch.no_grad():
            guess = model(nodes, adjacency)[~train_mask].argmax(1)
        right = (guess == labels[~train_mask]).float().mean().item()
        print(f"epoch {epoch + 1}: loss of the last ten {np.mean(history[-10:]):.4f}, accuracy {right:.3f}")
