/* One training step of the small GPT: forward, backward and Adam, written by hand. See gpt_step.py.

   Parameters lie in a row: tokens, positions, W_q, W_k, W_v, W_o, the MLP's two, logits. */

#include <math.h>
#include <string.h>

enum { VOCABULARY = 27, BLOCK = 16, SIZE = 16, HEADS = 4, WIDTH = SIZE / HEADS, WIDE = 4 * SIZE };
enum {
    WTE = 0,
    WPE = WTE + VOCABULARY * SIZE,
    WQ = WPE + BLOCK * SIZE,
    WK = WQ + SIZE * SIZE,
    WV = WK + SIZE * SIZE,
    WO = WV + SIZE * SIZE,
    W1 = WO + SIZE * SIZE,
    W2 = W1 + WIDE * SIZE,
    HEAD = W2 + SIZE * WIDE,
    COUNT = HEAD + VOCABULARY * SIZE
};

/* y = W x, and its way back: dx += W^T dy, dW += dy x^T. */
static inline void linear(const double *restrict w, const double *restrict x, double *restrict y,
                          int out, int in) {
    for (int i = 0; i < out; i++) {
        double sum = 0.0;
        for (int j = 0; j < in; j++) sum += w[i * in + j] * x[j];
        y[i] = sum;
    }
}

static inline void linear_back(const double *restrict w, const double *restrict x,
                               const double *restrict dy, double *restrict dx,
                               double *restrict dw, int out, int in) {
    for (int i = 0; i < out; i++)
        for (int j = 0; j < in; j++) {
            dx[j] += w[i * in + j] * dy[i];
            dw[i * in + j] += dy[i] * x[j];
        }
}

static inline double rms(const double *restrict x, double *restrict y) {
    double sum = 0.0;
    for (int i = 0; i < SIZE; i++) sum += x[i] * x[i];
    double scale = 1.0 / sqrt(sum / SIZE + 1e-5);
    for (int i = 0; i < SIZE; i++) y[i] = x[i] * scale;
    return scale;
}

static inline void rms_back(const double *restrict x, double scale, const double *restrict dy,
                            double *restrict dx) {
    double dot = 0.0;
    for (int i = 0; i < SIZE; i++) dot += x[i] * dy[i];
    dot *= scale * scale * scale / SIZE;
    for (int i = 0; i < SIZE; i++) dx[i] += dy[i] * scale - x[i] * dot;
}

double step(double *p, double *m, double *v, const int *document, int n, int time, double lr) {
    static double g[COUNT];
    static double x0[BLOCK][SIZE], x1[BLOCK][SIZE], h1[BLOCK][SIZE], q[BLOCK][SIZE], k[BLOCK][SIZE],
        u[BLOCK][SIZE], joined[BLOCK][SIZE], x2[BLOCK][SIZE], h2[BLOCK][SIZE], wide[BLOCK][WIDE],
        x3[BLOCK][SIZE], a[BLOCK][HEADS][BLOCK], probabilities[BLOCK][VOCABULARY];
    double s0[BLOCK], s1[BLOCK], s2[BLOCK], loss = 0.0, part[WIDE];
    memset(g, 0, sizeof g);

    for (int t = 0; t < n; t++) {
        for (int i = 0; i < SIZE; i++)
            x0[t][i] = p[WTE + document[t] * SIZE + i] + p[WPE + t * SIZE + i];
        s0[t] = rms(x0[t], x1[t]);
        s1[t] = rms(x1[t], h1[t]);
        linear(p + WQ, h1[t], q[t], SIZE, SIZE);
        linear(p + WK, h1[t], k[t], SIZE, SIZE);
        linear(p + WV, h1[t], u[t], SIZE, SIZE);
        for (int h = 0; h < HEADS; h++) {
            double peak = -INFINITY, whole = 0.0, *w = a[t][h];
            for (int s = 0; s <= t; s++) {
                double score = 0.0;
                for (int j = h * WIDTH; j < (h + 1) * WIDTH; j++) score += q[t][j] * k[s][j];
                w[s] = score / sqrt(WIDTH);
                peak = fmax(peak, w[s]);
            }
            for (int s = 0; s <= t; s++) whole += w[s] = exp(w[s] - peak);
            for (int s = 0; s <= t; s++) w[s] /= whole;
            for (int j = h * WIDTH; j < (h + 1) * WIDTH; j++) {
                double sum = 0.0;
                for (int s = 0; s <= t; s++) sum += w[s] * u[s][j];
                joined[t][j] = sum;
            }
        }
        linear(p + WO, joined[t], x2[t], SIZE, SIZE);
        for (int i = 0; i < SIZE; i++) x2[t][i] += x1[t][i];
        s2[t] = rms(x2[t], h2[t]);
        linear(p + W1, h2[t], wide[t], WIDE, SIZE);
        for (int i = 0; i < WIDE; i++) wide[t][i] = wide[t][i] > 0.0 ? wide[t][i] : 0.0;
        linear(p + W2, wide[t], x3[t], SIZE, WIDE);
        for (int i = 0; i < SIZE; i++) x3[t][i] += x2[t][i];
        double *z = probabilities[t], peak = -INFINITY, whole = 0.0;
        linear(p + HEAD, x3[t], z, VOCABULARY, SIZE);
        for (int i = 0; i < VOCABULARY; i++) peak = fmax(peak, z[i]);
        for (int i = 0; i < VOCABULARY; i++) whole += z[i] = exp(z[i] - peak);
        for (int i = 0; i < VOCABULARY; i++) z[i] /= whole;
        loss -= log(z[document[t + 1]]) / n;
    }

    static double dx1[BLOCK][SIZE], dq[BLOCK][SIZE], dk[BLOCK][SIZE], du[BLOCK][SIZE];
    memset(dx1, 0, sizeof dx1);
    memset(dq, 0, sizeof dq);
    memset(dk, 0, sizeof dk);
    memset(du, 0, sizeof du);
    for (int t = n - 1; t >= 0; t--) {
        double dx[SIZE] = {0}, dwide[WIDE] = {0}, dh[SIZE] = {0}, djoined[SIZE] = {0};
        for (int i = 0; i < VOCABULARY; i++)
            part[i] = (probabilities[t][i] - (i == document[t + 1])) / n;
        linear_back(p + HEAD, x3[t], part, dx, g + HEAD, VOCABULARY, SIZE);
        linear_back(p + W2, wide[t], dx, dwide, g + W2, SIZE, WIDE);
        for (int i = 0; i < WIDE; i++) dwide[i] = wide[t][i] > 0.0 ? dwide[i] : 0.0;
        linear_back(p + W1, h2[t], dwide, dh, g + W1, WIDE, SIZE);
        rms_back(x2[t], s2[t], dh, dx);
        for (int i = 0; i < SIZE; i++) dx1[t][i] += dx[i];
        linear_back(p + WO, joined[t], dx, djoined, g + WO, SIZE, SIZE);
        for (int h = 0; h < HEADS; h++) {
            double da[BLOCK], dot = 0.0, *w = a[t][h];
            for (int s = 0; s <= t; s++) {
                da[s] = 0.0;
                for (int j = h * WIDTH; j < (h + 1) * WIDTH; j++) {
                    da[s] += djoined[j] * u[s][j];
                    du[s][j] += djoined[j] * w[s];
                }
                dot += da[s] * w[s];
            }
            for (int s = 0; s <= t; s++) {
                double dscore = w[s] * (da[s] - dot) / sqrt(WIDTH);
                for (int j = h * WIDTH; j < (h + 1) * WIDTH; j++) {
                    dq[t][j] += dscore * k[s][j];
                    dk[s][j] += dscore * q[t][j];
                }
            }
        }
    }
    for (int t = 0; t < n; t++) {
        double dh[SIZE] = {0}, dx[SIZE] = {0};
        linear_back(p + WQ, h1[t], dq[t], dh, g + WQ, SIZE, SIZE);
        linear_back(p + WK, h1[t], dk[t], dh, g + WK, SIZE, SIZE);
        linear_back(p + WV, h1[t], du[t], dh, g + WV, SIZE, SIZE);
        rms_back(x1[t], s1[t], dh, dx1[t]);
        rms_back(x0[t], s0[t], dx1[t], dx);
        for (int i = 0; i < SIZE; i++) {
            g[WTE + document[t] * SIZE + i] += dx[i];
            g[WPE + t * SIZE + i] += dx[i];
        }
    }

    const double beta1 = 0.85, beta2 = 0.99;
    double correction1 = 1.0 - pow(beta1, time), correction2 = 1.0 - pow(beta2, time);
    for (int i = 0; i < COUNT; i++) {
        m[i] = beta1 * m[i] + (1.0 - beta1) * g[i];
        v[i] = beta2 * v[i] + (1.0 - beta2) * g[i] * g[i];
        p[i] -= lr * (m[i] / correction1) / (sqrt(v[i] / correction2) + 1e-8);
    }
    return loss;
}
