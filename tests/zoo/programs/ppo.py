"""Proximal policy optimisation of a one-dimensional lander with a Gaussian policy; several epochs a rollout."""
import torch
from torch import nn
from torch.distributions import Normal


class Agent(nn.Module):
    def __init__(self):
        super().__init__()
        self.critic = nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 1))
        self.actor_mean = nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 1))
        self.actor_logstd = nn.Parameter(torch.full((1, 1), -0.5))

    def get_value(self, x):
        return self.critic(x)

    def get_action_and_value(self, x, action=None):
        mean = self.actor_mean(x)
        dist = Normal(mean, self.actor_logstd.expand_as(mean).exp())
        if action is None:
            action = dist.sample()
        return action, dist.log_prob(action).sum(1), dist.entropy().sum(1), self.critic(x)


def env_step(state, action):
    position = state[:, 0] + 0.3 * action.squeeze(1).clamp(-2, 2)
    reward = -position.abs()
    return torch.stack([position, position.sign()], 1), reward


torch.manual_seed(1)
ENVS, STEPS, GAMMA, LAMBDA = 16, 8, 0.95, 0.9
agent = Agent()
optimizer = torch.optim.Adam(agent.parameters(), lr=5e-3, eps=1e-5)
scores = []
for update in range(25):
    optimizer.param_groups[0]["lr"] = 5e-3 * (1 - update / 40)
    state = torch.stack([2 * torch.randn(ENVS), torch.zeros(ENVS)], 1)
    obs, actions, logprobs, rewards, values = [], [], [], [], []
    for _ in range(STEPS):
        with torch.no_grad():
            action, logprob, _, value = agent.get_action_and_value(state)
        obs.append(state), actions.append(action), logprobs.append(logprob), values.append(value.flatten())
        state, reward = env_step(state, action)
        rewards.append(reward)
    with torch.no_grad():
        following = agent.get_value(state).reshape(-1)
        advantages, last = torch.zeros(STEPS, ENVS), 0
        for t in reversed(range(STEPS)):
            nextvalue = following if t == STEPS - 1 else values[t + 1]
            delta = rewards[t] + GAMMA * nextvalue - values[t]
            advantages[t] = last = delta + GAMMA * LAMBDA * last
        returns = advantages + torch.stack(values)
    b_obs, b_act, b_logp = torch.cat(obs), torch.cat(actions), torch.cat(logprobs)
    b_adv, b_ret = advantages.reshape(-1), returns.reshape(-1)
    for epoch in range(3):
        for mb in torch.randperm(ENVS * STEPS).split(64):
            _, newlogp, entropy, newvalue = agent.get_action_and_value(b_obs[mb], b_act[mb])
            ratio = (newlogp - b_logp[mb]).exp()
            adv = (b_adv[mb] - b_adv[mb].mean()) / (b_adv[mb].std() + 1e-8)
            pg_loss = torch.max(-adv * ratio, -adv * ratio.clamp(0.8, 1.2)).mean()
            v_loss = 0.5 * ((newvalue.view(-1) - b_ret[mb]) ** 2).mean()
            loss = pg_loss + 0.5 * v_loss - 0.001 * entropy.mean()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(agent.parameters(), 0.5)
            optimizer.step()
    scores.append(torch.stack(rewards).mean().item())
assert sum(scores[-5:]) > sum(scores[:5]), scores
