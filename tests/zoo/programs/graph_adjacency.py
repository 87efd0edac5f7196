"""Full-batch node classification with an adjacency matrix, dense and sparse, attention included."""
import torch
import torch.nn as nn
import torch.nn.functional as F


class GCN(nn.Module):
    def __init__(self, nfeat, nhid, nclass, dropout):
        super().__init__()
        self.w1 = nn.Parameter(torch.empty(nfeat, nhid))
        self.w2 = nn.Parameter(torch.empty(nhid, nclass))
        nn.init.xavier_uniform_(self.w1), nn.init.xavier_uniform_(self.w2)
        self.dropout = dropout

    def forward(self, x, adj):
        x = F.relu(torch.spmm(adj, x @ self.w1))
        x = F.dropout(x, self.dropout, training=self.training)
        return F.log_softmax(torch.spmm(adj, x @ self.w2), dim=1)


class GAT(nn.Module):
    def __init__(self, nfeat, nhid, nclass):
        super().__init__()
        self.w, self.a, self.out = nn.Linear(nfeat, nhid, bias=False), nn.Linear(2 * nhid, 1), nn.Linear(nhid, nclass)

    def forward(self, x, adj):
        h = self.w(x)
        n = h.size(0)
        pairs = torch.cat([h.unsqueeze(1).expand(n, n, -1), h.unsqueeze(0).expand(n, n, -1)], dim=-1)
        e = F.leaky_relu(self.a(pairs).squeeze(-1), 0.2)
        attention = F.softmax(e.masked_fill(adj == 0, -1e9), dim=1)
        return F.log_softmax(self.out(F.elu(attention @ h)), dim=1)


torch.manual_seed(42)
labels = torch.arange(60) % 3
same = labels[:, None] == labels[None]
adj = (torch.rand(60, 60) < torch.where(same, 0.2, 0.02)).float()
adj = ((adj + adj.T + torch.eye(60)) > 0).float()
norm = adj / adj.sum(1, keepdim=True)
features = torch.randn(60, 8) + F.one_hot(labels, 8)
idx = torch.randperm(60)
idx_train, idx_val = idx[:30], idx[30:]
for model, matrix in ((GCN(8, 16, 3, 0.5), norm.to_sparse()), (GAT(8, 8, 3), adj)):
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02, weight_decay=5e-4)
    losses = []
    for epoch in range(40):
        model.train()
        optimizer.zero_grad()
        output = model(features, matrix)
        loss_train = F.nll_loss(output[idx_train], labels[idx_train])
        loss_train.backward()
        optimizer.step()
        losses.append(loss_train.item())
        model.eval()
        with torch.no_grad():
            output = model(features, matrix)
            F.nll_loss(output[idx_val], labels[idx_val]).item()
    assert losses[-1] < 0.9 * losses[0], losses
