"""The floor: plain single-thread loops over triples, compiled by numba, with nothing in the way."""

import numpy as np
from numba import njit

EPSILON, RATE = np.float32(0.5), np.float32(0.05)


@njit
def gradient(P, Q, dP, dQ, u, i, j):
    """Adds the BPR gradient of every triple to dP and dQ."""
    for k in range(len(u)):
        a, b, c = u[k], i[k], j[k]
        x = np.float32(0)
        for d in range(P.shape[1]):
            x += P[a, d] * (Q[b, d] - Q[c, d])
        slope = np.float32(-1) / (np.float32(1) + np.exp(x))
        for d in range(P.shape[1]):
            dP[a, d] += slope * (Q[b, d] - Q[c, d])
            dQ[b, d] += slope * P[a, d]
            dQ[c, d] -= slope * P[a, d]


@njit
def adagrad(W, A, G, ids):
    """Adagrad on the rows of `ids` that have a gradient, which is then cleared."""
    for k in ids:
        for d in range(W.shape[1]):
            g = G[k, d]
            if g != 0:
                A[k, d] += g * g
                W[k, d] -= RATE * g / np.sqrt(A[k, d] + np.float32(1e-7))
                G[k, d] = 0


@njit
def perturb(W, G, moved, ids):
    """moved = W + epsilon G / ||G|| for the rows of `ids`."""
    for k in ids:
        square = np.float32(0)
        for d in range(W.shape[1]):
            square += G[k, d] * G[k, d]
        scale = EPSILON / np.sqrt(max(square, np.float32(1e-12)))
        for d in range(W.shape[1]):
            moved[k, d] = W[k, d] + scale * G[k, d]


@njit
def bprmf_epoch(P, Q, AP, AQ, dP, dQ, users, positives, negatives):
    for s in range(len(users)):
        gradient(P, Q, dP, dQ, users[s], positives[s], negatives[s])
        adagrad(P, AP, dP, users[s])
        adagrad(Q, AQ, dQ, positives[s])
        adagrad(Q, AQ, dQ, negatives[s])


@njit
def amf_epoch(P, Q, AP, AQ, dP, dQ, movedP, movedQ, users, positives, negatives):
    for s in range(len(users)):
        gradient(P, Q, dP, dQ, users[s], positives[s], negatives[s])
        perturb(P, dP, movedP, users[s])
        perturb(Q, dQ, movedQ, positives[s])
        perturb(Q, dQ, movedQ, negatives[s])
        gradient(movedP, movedQ, dP, dQ, users[s], positives[s], negatives[s])
        adagrad(P, AP, dP, users[s])
        adagrad(Q, AQ, dQ, positives[s])
        adagrad(Q, AQ, dQ, negatives[s])


@njit
def attack_iteration(P, Q, deltaP, deltaQ, movedP, movedQ, dP, dQ, u, i, j):
    """One step of BIM in the element-wise ball on all triples."""
    dP[:], dQ[:] = 0, 0
    movedP[:], movedQ[:] = P + deltaP, Q + deltaQ
    gradient(movedP, movedQ, dP, dQ, u, i, j)
    for G, delta in ((dP, deltaP), (dQ, deltaQ)):
        for k in range(len(G)):
            square = np.float32(0)
            for d in range(G.shape[1]):
                square += G[k, d] * G[k, d]
            scale = EPSILON / 4 / np.sqrt(max(square, np.float32(1e-12)))
            for d in range(G.shape[1]):
                delta[k, d] = min(max(delta[k, d] + scale * G[k, d], -EPSILON), EPSILON)


@njit
def top_10(P, Q, indptr, items, lists):
    """Ten best unknown items of every user, by insertion."""
    best = np.empty(10, np.float32)
    for u in range(len(P)):
        best[:] = -np.inf
        known = indptr[u]
        for i in range(len(Q)):
            if known < indptr[u + 1] and items[known] == i:
                known += 1
                continue
            score = np.float32(0)
            for d in range(P.shape[1]):
                score += P[u, d] * Q[i, d]
            if score > best[9]:
                at = 9
                while at > 0 and best[at - 1] < score:
                    best[at] = best[at - 1]
                    lists[u, at] = lists[u, at - 1]
                    at -= 1
                best[at], lists[u, at] = score, i
