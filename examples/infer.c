/* infer MODEL.safetensors PICTURE...: tells the class of PNG or JPEG pictures, as a program does
 * that ships a network. It loads the network once, float or low-bit; each run then allocates
 * nothing.
 *
 * cc infer.c $(pkg-config --cflags --libs dfq) -o infer */
#include <dfq/dfq.h>
#include <stdio.h>
#include <stdlib.h>

/* The class with the largest logit. */
static int64_t best_of(const float *logits, int64_t classes)
{
    int64_t best = 0;
    for (int64_t c = 1; c < classes; c++)
        if (logits[c] > logits[best]) best = c;
    return best;
}

static dfq_status classify(dfq_runtime *net, const char *picture, uint8_t *pixels, size_t size)
{
    dfq_runtime_output logits = {.struct_size = sizeof logits};
    dfq_runtime_input in;
    dfq_status s = dfq_runtime_read_picture(net, picture, pixels, size);
    dfq_runtime_input_init(&in, sizeof in, net); /* one image of bytes, [height][width][3] */
    in.data = pixels;
    if (s == DFQ_OK) s = dfq_runtime_run(net, &in, NULL, 0);
    if (s == DFQ_OK) s = dfq_runtime_get_output(net, 0, &logits);
    if (s == DFQ_OK)
        printf("%s: class %lld\n", picture, (long long)best_of(logits.data, logits.dims[1]));
    return s;
}

static dfq_status run(dfq_context *ctx, int n, char **words)
{
    dfq_runtime *net = NULL;
    dfq_runtime_info info = {.struct_size = sizeof info};
    uint8_t *pixels = NULL;
    dfq_status s = dfq_runtime_load(ctx, words[0], NULL, NULL, &net);
    if (s == DFQ_OK) s = dfq_runtime_get_info(net, &info);
    if (s == DFQ_OK) {
        const size_t size = (size_t)(info.image_height * info.image_width * 3);
        pixels = malloc(size);
        if (!pixels) s = DFQ_E_NOMEM;
        for (int i = 1; i < n && s == DFQ_OK; i++) s = classify(net, words[i], pixels, size);
    }
    free(pixels);
    dfq_runtime_release(net);
    return s;
}

int main(int argc, char **argv)
{
    dfq_context *ctx = NULL;
    if (argc < 3) {
        fprintf(stderr, "usage: infer MODEL.safetensors PICTURE...\n");
        return 2;
    }
    dfq_status s = dfq_context_create(NULL, &ctx);
    if (s == DFQ_OK) s = run(ctx, argc - 1, argv + 1);
    if (s != DFQ_OK)
        fprintf(stderr, "infer: %s\n", ctx ? dfq_context_get_error(ctx) : "no context");
    dfq_context_release(ctx);
    return s == DFQ_OK ? 0 : 1;
}
