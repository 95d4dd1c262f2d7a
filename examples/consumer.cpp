// consumer IN.safetensors OUT.safetensors [IMAGES STEPS]: libdfq from C++. Handles are unique_ptrs
// and failures are exceptions; the rest is the dozen calls of dozen.c.
//
// c++ -std=c++11 consumer.cpp $(pkg-config --cflags --libs dfq) -o consumer
#include <dfq/dfq.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <stdexcept>

namespace
{

template <typename T, void (*Release)(T *)> struct Give {
    void operator()(T *p) const
    {
        Release(p);
    }
};
using Context = std::unique_ptr<dfq_context, Give<dfq_context, dfq_context_release>>;
using Graph = std::unique_ptr<dfq_graph, Give<dfq_graph, dfq_graph_release>>;
using Tensor = std::unique_ptr<dfq_tensor, Give<dfq_tensor, dfq_tensor_release>>;
using Synthesizer =
    std::unique_ptr<dfq_synthesizer, Give<dfq_synthesizer, dfq_synthesizer_release>>;
using Tuner = std::unique_ptr<dfq_tuner, Give<dfq_tuner, dfq_tuner_release>>;

// Calls what writes a handle through its last argument, and keeps the handle.
template <typename Handle, typename Call> Handle make(const Context &ctx, Call call)
{
    typename Handle::pointer p = nullptr;
    if (call(&p) != DFQ_OK)
        throw std::runtime_error(ctx ? dfq_context_get_error(ctx.get()) : "no context");
    return Handle(p);
}

void check(const Context &ctx, dfq_status status)
{
    if (status != DFQ_OK) throw std::runtime_error(dfq_context_get_error(ctx.get()));
}

void quantize(const char *in, const char *out, const int64_t *counts)
{
    dfq_synthesizer_options images_how;
    dfq_tuner_options tune_how;
    dfq_synthesizer_options_init(&images_how, sizeof images_how, DFQ_SYNTHESIZER_AUTO,
                                 DFQ_MODE_IMPROVED, nullptr);
    dfq_tuner_options_init(&tune_how, sizeof tune_how, DFQ_RECIPE_MIMIQ, nullptr, 0);
    if (counts) {
        images_how.images = counts[0];
        images_how.iterations = tune_how.steps = counts[1];
    }

    Context ctx =
        make<Context>(nullptr, [](dfq_context **p) { return dfq_context_create(nullptr, p); });
    Graph net =
        make<Graph>(ctx, [&](dfq_graph **p) { return dfq_graph_load(ctx.get(), in, nullptr, p); });
    Synthesizer synthesizer = make<Synthesizer>(ctx, [&](dfq_synthesizer **p) {
        return dfq_synthesizer_create(net.get(), &images_how, p);
    });
    check(ctx, dfq_synthesizer_run(synthesizer.get()));
    Tensor images = make<Tensor>(
        ctx, [&](dfq_tensor **p) { return dfq_synthesizer_get_images(synthesizer.get(), p); });
    Graph low = make<Graph>(ctx, [&](dfq_graph **p) {
        return dfq_graph_quantize(net.get(), images.get(), nullptr, p);
    });
    Tuner tuner = make<Tuner>(ctx, [&](dfq_tuner **p) {
        return dfq_tuner_create(net.get(), low.get(), images.get(), &tune_how, p);
    });
    check(ctx, dfq_tuner_run(tuner.get()));
    check(ctx, dfq_graph_save(low.get(), out, 0));
    std::printf("%s: %s, 4-bit\n", out, dfq_graph_get_name(low.get()));
}

} // namespace

int main(int argc, char **argv)
{
    if (argc != 3 && argc != 5) {
        std::fprintf(stderr, "usage: consumer IN.safetensors OUT.safetensors [IMAGES STEPS]\n");
        return 2;
    }
    const bool asked = argc == 5;
    const int64_t counts[] = {asked ? std::atoll(argv[3]) : 0, asked ? std::atoll(argv[4]) : 0};
    try {
        quantize(argv[1], argv[2], asked ? counts : nullptr);
    } catch (const std::exception &e) {
        std::fprintf(stderr, "consumer: %s\n", e.what());
        return 1;
    }
    return 0;
}
