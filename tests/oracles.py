"""Plain NumPy restatements in float64, slow and short, that share no code with the package."""

import numpy as np
from scipy import sparse


def random_matrix(shape=(40, 31), density=0.3, seed=0):
    """Return a sparse matrix of uniform values."""
    rng = np.random.default_rng(seed)
    return sparse.csr_matrix(rng.random(shape) * (rng.random(shape) < density))


def by_svd(block, rank):
    """Return the best approximation of that rank."""
    U, s, Vt = np.linalg.svd(block)
    return (U[:, :rank] * s[:rank]) @ Vt[:rank]


def dense_gradient(P, Q, users, positives, negatives):
    """Return the summed BPR loss and its gradients in P and Q, one triple after the other."""
    loss, dP, dQ = 0.0, np.zeros_like(P, dtype=np.float64), np.zeros_like(Q, dtype=np.float64)
    for u, i, j in zip(users, positives, negatives):
        p, qi, qj = P[u].astype(np.float64), Q[i].astype(np.float64), Q[j].astype(np.float64)
        x = p @ (qi - qj)
        if x < -80:
            loss += 80
            continue
        loss += np.log1p(np.exp(-x))
        slope = -1 / (1 + np.exp(x))
        dP[u] += slope * (qi - qj)
        dQ[i] += slope * p
        dQ[j] -= slope * p
    return loss, dP, dQ


def unit_rows(x):
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    return np.divide(x, norms, out=np.zeros_like(x), where=norms > 1e-6)


def project(delta, epsilon, ball):
    if ball == "linf":
        return np.clip(delta, -epsilon, epsilon)
    norms = np.linalg.norm(delta, axis=1, keepdims=True)
    return delta * np.minimum(1, epsilon / np.maximum(norms, 1e-12))


def attack(P, Q, triples, epsilon, iterations, step_size, ball="linf", start=None):
    du, di = start or (np.zeros_like(x, dtype=np.float64) for x in (P, Q))
    for _ in range(iterations):
        _, gP, gQ = dense_gradient(P + du, Q + di, *triples)
        du = project(du + step_size * unit_rows(gP), epsilon, ball)
        di = project(di + step_size * unit_rows(gQ), epsilon, ball)
    return du, di


class Trainer:
    """BPR-MF, or AMF if epsilon is given, under dense Adagrad."""

    def __init__(
        self,
        P,
        Q,
        epsilon=None,
        weight=1.0,
        iterations=1,
        step_size=None,
        rate=0.05,
        adversary="fgsm",
    ):
        self.P, self.Q = P.astype(np.float64), Q.astype(np.float64)
        self.squares = [np.full(x.shape, 0.1) for x in (P, Q)]
        self.epsilon, self.weight, self.rate = epsilon, weight, rate
        self.iterations, self.step_size = (
            (1, epsilon) if adversary == "fgsm" else (iterations, step_size)
        )

    def batch(self, users, positives, negatives):
        triples = (users, positives, negatives)
        loss, dP, dQ = dense_gradient(self.P, self.Q, *triples)
        if self.epsilon is not None:
            du, di = attack(
                self.P, self.Q, triples, self.epsilon, self.iterations, self.step_size, "linf"
            )
            more, aP, aQ = dense_gradient(self.P + du, self.Q + di, *triples)
            loss, dP, dQ = loss + self.weight * more, dP + self.weight * aP, dQ + self.weight * aQ
        for x, squares, gradient in zip((self.P, self.Q), self.squares, (dP, dQ)):
            squares += gradient**2
            x -= self.rate * gradient / np.sqrt(squares + 1e-7)
        return loss


class Adam:
    """Adam with weight decay in the gradient."""

    def __init__(self, decay=1e-5, rate=0.01):
        self.decay, self.rate, self.step, self.moments = decay, rate, 0, {}

    def __call__(self, values, gradients):
        self.step += 1
        return [self.moved(n, *pair) for n, pair in enumerate(zip(values, gradients))]

    def moved(self, number, value, gradient):
        gradient = gradient + self.decay * value
        m, v = self.moments.get(number, (0, 0))
        m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
        self.moments[number] = m, v
        m, v = m / (1 - 0.9**self.step), v / (1 - 0.999**self.step)
        return value - self.rate * m / (np.sqrt(v) + 1e-8)


def top_k(P, Q, data, k):
    """Return a full sort of every user's unknown items: by score, test items last, then id."""
    train = set(zip(data.train_users.tolist(), data.train_items.tolist()))
    test = set(zip(data.test_users.tolist(), data.test_items.tolist()))
    lists = np.full((data.n_users, k), -1)
    for u in range(data.n_users):
        scores = P[u] @ Q.T
        unknown = [i for i in range(data.n_items) if (u, i) not in train]
        ranked = sorted(unknown, key=lambda i: (-scores[i], (u, i) in test, i))[:k]
        lists[u, : len(ranked)] = ranked
    return lists


def metrics(lists, data):
    """Return the six metrics of Table 1, one user after the other."""
    test = {}
    for u, i in zip(data.test_users.tolist(), data.test_items.tolist()):
        test.setdefault(u, set()).add(i)
    counts = np.bincount(data.train_items, minlength=data.n_items)
    novelty = [-np.log2((c or min(counts[counts > 0])) / counts.sum()) for c in counts]
    k, sums = lists.shape[1], np.zeros(4)
    discount = [1 / np.log2(r + 1) for r in range(1, k + 1)]
    for u, wanted in test.items():
        hits = [(discount[r], novelty[i]) for r, i in enumerate(lists[u]) if i in wanted]
        dcg = sum(gain for gain, _ in hits) / sum(discount[: len(wanted)])
        efd = sum(gain * value for gain, value in hits) / sum(discount)
        sums += [len(hits) / k, len(hits) / len(wanted), dcg, efd]
    listed = [i for row in lists.tolist() for i in row if i >= 0]
    shares = [listed.count(i) / len(listed) for i in set(listed)]
    values = [*(sums / len(test)), -sum(p * np.log2(p) for p in shares), len(set(listed))]
    return dict(zip(("PR", "RE", "nDCG", "EFD", "SE", "ICov"), values))
