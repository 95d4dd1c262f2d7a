/* dozen IN.safetensors OUT.safetensors: a vision transformer goes in, a 4-bit one comes out,
 * without data. The whole job in a dozen calls, with their checks.
 *
 * cc dozen.c $(pkg-config --cflags --libs dfq) -o dozen */
#include <dfq/dfq.h>
#include <stdio.h>

static int32_t show(const dfq_progress *p, void *user)
{
    (void)user;
    fprintf(stderr, "\r%s %3.0f %%  ", p->stage, 100 * p->fraction);
    return 0; /* anything else would stop the job */
}

static dfq_status quantize(dfq_context *ctx, const char *in, const char *out)
{
    dfq_graph *net = NULL, *low = NULL;
    dfq_synthesizer *synth = NULL;
    dfq_tensor *images = NULL;
    dfq_tuner *tuner = NULL;
    dfq_status s = dfq_graph_load(ctx, in, NULL, &net);
    if (s == DFQ_OK) s = dfq_synthesizer_create(net, NULL, &synth); /* NULL: default options */
    if (s == DFQ_OK) s = dfq_synthesizer_run(synth);
    if (s == DFQ_OK) s = dfq_synthesizer_get_images(synth, &images);
    if (s == DFQ_OK) s = dfq_graph_quantize(net, images, NULL, &low);
    if (s == DFQ_OK) s = dfq_tuner_create(net, low, images, NULL, &tuner);
    if (s == DFQ_OK) s = dfq_tuner_run(tuner);
    if (s == DFQ_OK) s = dfq_graph_save(low, out, 0);
    dfq_tuner_release(tuner);
    dfq_tensor_release(images);
    dfq_synthesizer_release(synth);
    dfq_graph_release(low);
    dfq_graph_release(net);
    return s;
}

int main(int argc, char **argv)
{
    dfq_context_options o;
    dfq_context *ctx;
    if (argc != 3) {
        fprintf(stderr, "usage: dozen IN.safetensors OUT.safetensors\n");
        return 2;
    }
    dfq_context_options_init(&o, sizeof o);
    o.progress = show;
    if (dfq_context_create(&o, &ctx) != DFQ_OK) return 1;
    dfq_status s = quantize(ctx, argv[1], argv[2]);
    if (s != DFQ_OK) fprintf(stderr, "\n%s\n", dfq_context_get_error(ctx));
    dfq_context_release(ctx);
    return s == DFQ_OK ? 0 : 1;
}
