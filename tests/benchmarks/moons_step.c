/* One training step of the moons network: forward, backward and Adam, by hand. See beside_c.py.

   A 2-16-16-1 ReLU network, the mean hinge loss of 100 examples, an L2 penalty. Parameters lie in a
   row as in nn.MLP: for each neuron its weights, then its bias. Examples go through the network in
   tiles, from the last to the first; what runs side by side is the neurons of a layer and the
   examples of a tile, in vectors that stay in registers. Every sum is added in the order of the
   scalar engine: without -ffast-math and fused multiply-adds, results are equal to the last bit. */

#include <math.h>

enum { EXAMPLES = 100, IN = 2, WIDE = 16, TILE = 4, LANES = 4, ROW = WIDE / LANES };
enum {
    FIRST = 0,
    SECOND = FIRST + WIDE * (IN + 1),
    THIRD = SECOND + WIDE * (WIDE + 1),
    COUNT = THIRD + WIDE + 1
};

typedef double lanes __attribute__((vector_size(LANES * sizeof(double))));
typedef union {
    lanes part[ROW];
    double at[WIDE];
} row; /* a number for each neuron */

static inline lanes positive(lanes x, lanes number) {
    return (lanes)((x > 0.0) & (__typeof__(x > 0.0))number);
}

/* out += x w, for a tile of examples, the terms from the first to the last or the other way. */
static inline void multiply(const row *restrict x, const row *restrict w, row *restrict out,
                            int first, int change) {
    for (int c = 0; c < ROW; c += 2) {
        lanes sum[TILE][2];
        for (int i = 0; i < TILE; i++)
            for (int n = 0; n < 2; n++) sum[i][n] = out[i].part[c + n];
        for (int t = 0, k = first; t < WIDE; t++, k += change)
            for (int i = 0; i < TILE; i++)
                for (int n = 0; n < 2; n++) sum[i][n] += x[i].at[k] * w[k].part[c + n];
        for (int i = 0; i < TILE; i++)
            for (int n = 0; n < 2; n++) out[i].part[c + n] = sum[i][n];
    }
}

/* p, m, v: parameters and moments, [COUNT]; inputs: [EXAMPLES][IN]; targets: -1 or 1. */
double step(double *restrict p, double *restrict m, double *restrict v,
            const double *restrict inputs, const double *restrict targets, int time, double lr,
            double l2) {
    row w1[IN], b1, w2[WIDE], across[WIDE], b2, w3; /* across: w2 the other way round */
    row dw1[IN] = {0}, db1 = {0}, dw2[WIDE] = {0}, db2 = {0}, dw3 = {0};
    double b3 = p[THIRD + WIDE], db3 = 0.0, losses[EXAMPLES], g[COUNT];
    for (int j = 0; j < WIDE; j++) {
        const double *first = p + FIRST + j * (IN + 1), *second = p + SECOND + j * (WIDE + 1);
        for (int k = 0; k < IN; k++) w1[k].at[j] = first[k];
        for (int k = 0; k < WIDE; k++) w2[j].at[k] = across[k].at[j] = second[k];
        b1.at[j] = first[IN];
        b2.at[j] = second[WIDE];
        w3.at[j] = p[THIRD + j];
    }

    for (int from = EXAMPLES - TILE; from >= 0; from -= TILE) {
        row h1[TILE], h2[TILE], d1[TILE] = {0}, d2[TILE];
        const double *x = inputs + from * IN;
        for (int i = 0; i < TILE; i++)
            for (int c = 0; c < ROW; c++) {
                lanes z = b1.part[c];
                for (int k = 0; k < IN; k++) z += w1[k].part[c] * x[i * IN + k];
                h1[i].part[c] = positive(z, z);
                h2[i].part[c] = b2.part[c];
            }
        multiply(h1, across, h2, 0, 1);
        for (int i = TILE - 1; i >= 0; i--) {
            double score = b3, target = targets[from + i];
            for (int c = 0; c < ROW; c++) h2[i].part[c] = positive(h2[i].part[c], h2[i].part[c]);
            for (int j = 0; j < WIDE; j++) score += w3.at[j] * h2[i].at[j];
            double slack = 1.0 - target * score, d3 = slack > 0.0 ? -target / EXAMPLES : 0.0;
            losses[from + i] = slack > 0.0 ? slack : 0.0;
            db3 += d3;
            for (int c = 0; c < ROW; c++) {
                dw3.part[c] += d3 * h2[i].part[c];
                d2[i].part[c] = positive(h2[i].part[c], d3 * w3.part[c]);
                db2.part[c] += d2[i].part[c];
            }
        }
        multiply(d2, w2, d1, WIDE - 1, -1);
        for (int c = 0; c < ROW; c += 2)
            for (int j = 0; j < WIDE; j++)
                for (int i = TILE - 1; i >= 0; i--)
                    for (int n = 0; n < 2; n++)
                        dw2[j].part[c + n] += d2[i].at[j] * h1[i].part[c + n];
        for (int i = TILE - 1; i >= 0; i--)
            for (int c = 0; c < ROW; c++) {
                lanes d = positive(h1[i].part[c], d1[i].part[c]);
                for (int k = 0; k < IN; k++) dw1[k].part[c] += d * x[i * IN + k];
                db1.part[c] += d;
            }
    }

    double loss = losses[0], squares = 0.0;
    for (int i = 1; i < EXAMPLES; i++) loss += losses[i];
    for (int i = 0; i < COUNT; i++) squares += p[i] * p[i];
    for (int j = 0; j < WIDE; j++) {
        double *first = g + FIRST + j * (IN + 1), *second = g + SECOND + j * (WIDE + 1);
        for (int k = 0; k < IN; k++) first[k] = dw1[k].at[j];
        for (int k = 0; k < WIDE; k++) second[k] = dw2[j].at[k];
        first[IN] = db1.at[j];
        second[WIDE] = db2.at[j];
        g[THIRD + j] = dw3.at[j];
    }
    g[THIRD + WIDE] = db3;

    const double beta1 = 0.9, beta2 = 0.999;
    double correction1 = 1.0 - pow(beta1, time), correction2 = 1.0 - pow(beta2, time);
    for (int i = 0; i < COUNT; i++) {
        double gradient = g[i] + l2 * p[i] + l2 * p[i];
        m[i] = beta1 * m[i] + (1.0 - beta1) * gradient;
        v[i] = beta2 * v[i] + (1.0 - beta2) * gradient * gradient;
        p[i] -= lr * (m[i] / correction1) / (sqrt(v[i] / correction2) + 1e-8);
    }
    return loss / EXAMPLES + l2 * squares;
}
