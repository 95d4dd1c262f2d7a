/* fake_quant: trains a layer with 3-bit weights and 4-bit inputs in a loop of one's own. The
 * library gives the fake-quant modules with their gradients, everything else is here: data, forward
 * pass, loss, optimiser. The layer y = W x learns what a float layer computes on correlated inputs;
 * rounding its weights loses much, training them as quantized wins most of it back.
 *
 * cc fake_quant.c $(pkg-config --cflags --libs dfq) -o fake_quant */
#include <dfq/dfq.h>
#include <stdint.h>
#include <stdio.h>

enum { OUT = 8, IN = 16, FACTORS = 4, SAMPLES = 256, STEPS = 400 };

typedef struct layer {
    dfq_context *ctx;
    dfq_quantizer *weights, *inputs;
    float w[OUT * IN], scale[OUT]; /* what is trained: float weights, and the scale of each row */
    float x[SAMPLES * IN], want[SAMPLES * OUT];
} layer;

/* Between -1 and 1, the same numbers in every run. */
static float random_number(void)
{
    static uint32_t state = 7;
    state = state * 1664525u + 1013904223u;
    return (float)(state >> 8) / (float)(1 << 23) - 1;
}

/* Inputs are mixtures of a few factors; the float layer says what is wanted. */
static void make_data(layer *l)
{
    float mix[FACTORS * IN];
    for (int i = 0; i < FACTORS * IN; i++) mix[i] = random_number();
    for (int i = 0; i < OUT * IN; i++) l->w[i] = random_number();
    for (int s = 0; s < SAMPLES; s++) {
        float factor[FACTORS], *x = l->x + s * IN;
        for (int f = 0; f < FACTORS; f++) factor[f] = random_number();
        for (int i = 0; i < IN; i++) {
            x[i] = 0.05f * random_number();
            for (int f = 0; f < FACTORS; f++) x[i] += factor[f] * mix[f * IN + i];
        }
        for (int o = 0; o < OUT; o++) {
            l->want[s * OUT + o] = 0;
            for (int i = 0; i < IN; i++) l->want[s * OUT + o] += l->w[o * IN + i] * x[i];
        }
    }
}

/* A tensor with a copy of the values: what was handed to the library must not change any more. */
static dfq_status tensor(dfq_context *ctx, int64_t rows, int64_t cols, const float *values,
                         dfq_tensor **out)
{
    const int64_t dims[2] = {rows, cols};
    dfq_status s = dfq_tensor_create(ctx, DFQ_DTYPE_F32, cols ? 2 : 1, dims, out);
    float *to = s == DFQ_OK ? dfq_tensor_get_data(*out) : NULL;
    for (int64_t i = 0; to && i < rows * (cols ? cols : 1); i++) to[i] = values[i];
    return s;
}

/* Mean squared error of the quantized layer, and its gradient to the quantized weights. */
static float loss(const layer *l, const float *x, const float *w, float *grad_w)
{
    float sum = 0;
    for (int i = 0; i < OUT * IN; i++) grad_w[i] = 0;
    for (int s = 0; s < SAMPLES; s++)
        for (int o = 0; o < OUT; o++) {
            float d = -l->want[s * OUT + o];
            for (int i = 0; i < IN; i++) d += w[o * IN + i] * x[s * IN + i];
            sum += d * d / (SAMPLES * OUT);
            for (int i = 0; i < IN; i++)
                grad_w[o * IN + i] += 2 * d * x[s * IN + i] / (SAMPLES * OUT);
        }
    return sum;
}

/* Quantizers with scales from the data: of weights one for each row, which is trained then; of
 * inputs one scale and zero point, which stay. */
static dfq_status make_quantizers(layer *l)
{
    dfq_quantizer_options o;
    dfq_tensor *w = NULL, *x = NULL, *scales = NULL;
    dfq_quantizer_options_init(&o, sizeof o);
    dfq_status s = dfq_quantizer_create(l->ctx, &o, NULL, NULL, &l->inputs); /* uniform, 4 bits */
    o.kind = DFQ_QUANTIZER_WEIGHT;
    o.bits = 3;
    o.granularity = DFQ_GRANULARITY_AXIS;
    o.axis = 0;
    o.scale_grad_factor = 0; /* LSQ's */
    if (s == DFQ_OK) s = dfq_quantizer_create(l->ctx, &o, NULL, NULL, &l->weights);
    if (s == DFQ_OK) s = tensor(l->ctx, OUT, IN, l->w, &w);
    if (s == DFQ_OK) s = tensor(l->ctx, SAMPLES, IN, l->x, &x);
    if (s == DFQ_OK) s = dfq_quantizer_calibrate(l->weights, w, DFQ_CALIBRATION_SEARCH);
    if (s == DFQ_OK) s = dfq_quantizer_calibrate(l->inputs, x, DFQ_CALIBRATION_MINMAX);
    if (s == DFQ_OK) s = dfq_quantizer_get_scales(l->weights, &scales);
    for (int i = 0; s == DFQ_OK && i < OUT; i++)
        l->scale[i] = ((float *)dfq_tensor_get_data(scales))[i];
    dfq_tensor_release(w);
    dfq_tensor_release(x);
    dfq_tensor_release(scales);
    return s;
}

/* One step: forward through both quantizers, backward through that of the weights, descent. */
static dfq_status step(layer *l, float rate, float *out_loss)
{
    float grad[OUT * IN];
    dfq_tensor *w = NULL, *x = NULL, *wq = NULL, *xq = NULL, *g = NULL, *dw = NULL, *ds = NULL;
    dfq_tensor *scales = NULL;
    dfq_status s = tensor(l->ctx, OUT, 0, l->scale, &scales);
    if (s == DFQ_OK) s = dfq_quantizer_set_scales(l->weights, scales, NULL);
    if (s == DFQ_OK) s = tensor(l->ctx, OUT, IN, l->w, &w);
    if (s == DFQ_OK) s = tensor(l->ctx, SAMPLES, IN, l->x, &x);
    if (s == DFQ_OK) s = dfq_quantizer_apply(l->weights, w, &wq);
    if (s == DFQ_OK) s = dfq_quantizer_apply(l->inputs, x, &xq);
    if (s == DFQ_OK) *out_loss = loss(l, dfq_tensor_get_data(xq), dfq_tensor_get_data(wq), grad);
    if (s == DFQ_OK) s = tensor(l->ctx, OUT, IN, grad, &g);
    if (s == DFQ_OK) s = dfq_quantizer_backward(l->weights, w, g, &dw, &ds, NULL);
    for (int i = 0; s == DFQ_OK && i < OUT * IN; i++)
        l->w[i] -= rate * ((float *)dfq_tensor_get_data(dw))[i];
    for (int i = 0; s == DFQ_OK && i < OUT; i++) {
        l->scale[i] -= rate * ((float *)dfq_tensor_get_data(ds))[i];
        if (l->scale[i] < 1e-4f) l->scale[i] = 1e-4f; /* scales stay above 0 */
    }
    dfq_tensor *all[] = {w, x, wq, xq, g, dw, ds, scales};
    for (int i = 0; i < 8; i++) dfq_tensor_release(all[i]);
    return s;
}

int main(void)
{
    static layer l;
    float rounded = 0, trained = 0, now;
    if (dfq_context_create(NULL, &l.ctx) != DFQ_OK) return 1;
    make_data(&l);
    dfq_status s = make_quantizers(&l);
    for (int i = 0; s == DFQ_OK && i < STEPS; i++) {
        s = step(&l, i < STEPS / 2 ? 0.2f : 0.05f, &now);
        if (s == DFQ_OK && i == 0) rounded = trained = now;
        if (s == DFQ_OK && now < trained) trained = now;
    }
    if (s == DFQ_OK)
        printf("3-bit weights, 4-bit inputs: error %.5f rounded, %.5f trained\n", (double)rounded,
               (double)trained);
    else
        fprintf(stderr, "%s\n", dfq_context_get_error(l.ctx));
    dfq_quantizer_release(l.weights);
    dfq_quantizer_release(l.inputs);
    dfq_context_release(l.ctx);
    return s == DFQ_OK && trained < rounded / 2 ? 0 : 1;
}
