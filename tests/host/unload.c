/* A host of plug-ins loads the library, uses two threads and a runtime, and unloads it, again and
 * again: it neither ends nor grows, and no file is left open. Usage: unload LIBRARY */
#include <dfq/dfq.h>
#include <dirent.h>
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

enum { ROUNDS = 200, WARM = 50, MAX_GROWTH_KB = 1000 };

/* ISO C knows no way from an object pointer to a function pointer. */
#define LOOK_UP(library, name)                                                                     \
    do {                                                                                           \
        void *at = dlsym(library, "dfq_" #name);                                                   \
        memcpy(&name, &at, sizeof at);                                                             \
        if (at == NULL) return "dfq_" #name " is missing";                                         \
    } while (0)

/* A quantized network, on codes. */
static const char *use_runtime(void *library, const dfq_graph *graph, const float *pixels)
{
    dfq_status (*graph_quantize)(const dfq_graph *, const dfq_tensor *,
                                 const dfq_quantize_options *, dfq_graph **);
    dfq_status (*runtime_create)(const dfq_graph *, const dfq_runtime_options *, dfq_runtime **);
    void (*quantize_options_init)(dfq_quantize_options *, size_t);
    void (*runtime_input_init)(dfq_runtime_input *, size_t, const dfq_runtime *);
    dfq_status (*runtime_run)(dfq_runtime *, const dfq_runtime_input *, float *, int64_t);
    void (*runtime_release)(dfq_runtime *);
    void (*graph_release)(dfq_graph *);
    dfq_quantize_options q;
    dfq_runtime_input in;
    dfq_graph *low;
    dfq_runtime *runtime;
    LOOK_UP(library, graph_quantize);
    LOOK_UP(library, quantize_options_init);
    LOOK_UP(library, runtime_create);
    LOOK_UP(library, runtime_input_init);
    LOOK_UP(library, runtime_run);
    LOOK_UP(library, runtime_release);
    LOOK_UP(library, graph_release);
    quantize_options_init(&q, sizeof q);
    q.drawn_images = 2;
    if (graph_quantize(graph, NULL, &q, &low) != DFQ_OK) return "no quantized network";
    if (runtime_create(low, NULL, &runtime) != DFQ_OK) return "no runtime";
    graph_release(low);
    runtime_input_init(&in, sizeof in, runtime);
    in.pixels = DFQ_PIXELS_F32_NCHW;
    in.data = pixels;
    if (runtime_run(runtime, &in, NULL, 0) != DFQ_OK) return "no run";
    runtime_release(runtime);
    return NULL;
}

static const char *use(void *library)
{
    void (*context_options_init)(dfq_context_options *, size_t);
    dfq_status (*context_create)(const dfq_context_options *, dfq_context **);
    void (*vit_options_init)(dfq_vit_options *, size_t);
    dfq_status (*graph_create)(dfq_context *, const dfq_vit_options *, dfq_graph **);
    dfq_status (*tensor_create)(dfq_context *, int32_t, int32_t, const int64_t *, dfq_tensor **);
    dfq_status (*graph_forward)(const dfq_graph *, const dfq_tensor *, dfq_tensor **);
    void *(*tensor_get_data)(const dfq_tensor *);
    void (*tensor_release)(dfq_tensor *);
    void (*graph_release)(dfq_graph *);
    void (*context_release)(dfq_context *);
    const int64_t dims[] = {2, 3, 32, 32};
    dfq_context_options o;
    dfq_vit_options v;
    dfq_context *ctx;
    dfq_graph *graph;
    dfq_tensor *x, *y;
    const char *complaint;
    LOOK_UP(library, context_options_init);
    LOOK_UP(library, context_create);
    LOOK_UP(library, vit_options_init);
    LOOK_UP(library, graph_create);
    LOOK_UP(library, tensor_create);
    LOOK_UP(library, graph_forward);
    LOOK_UP(library, tensor_get_data);
    LOOK_UP(library, tensor_release);
    LOOK_UP(library, graph_release);
    LOOK_UP(library, context_release);
    context_options_init(&o, sizeof o);
    o.threads = 2;
    vit_options_init(&v, sizeof v);
    v.width = 32;
    v.depth = 1;
    v.hidden = 64;
    if (context_create(&o, &ctx) != DFQ_OK) return "no context";
    if (graph_create(ctx, &v, &graph) != DFQ_OK) return "no network";
    if (tensor_create(ctx, DFQ_DTYPE_F32, 4, dims, &x) != DFQ_OK) return "no tensor";
    if (graph_forward(graph, x, &y) != DFQ_OK) return "no logits";
    memset(tensor_get_data(x), 0, sizeof(float) * 2 * 3 * 32 * 32);
    complaint = use_runtime(library, graph, tensor_get_data(x));
    tensor_release(y);
    tensor_release(x);
    graph_release(graph);
    context_release(ctx);
    return complaint;
}

/* Resident memory in kB, 0 where the system does not tell. */
static long resident_kb(void)
{
    FILE *f = fopen("/proc/self/status", "r");
    char line[256];
    long kb = 0;
    if (f == NULL) return 0;
    while (fgets(line, sizeof line, f) != NULL)
        if (sscanf(line, "VmRSS: %ld", &kb) == 1) break;
    fclose(f);
    return kb;
}

/* 0 where the system does not tell. */
static int open_files(void)
{
    DIR *d = opendir("/proc/self/fd");
    int n = 0;
    if (d == NULL) return 0;
    while (readdir(d) != NULL) n++;
    closedir(d);
    return n;
}

int main(int argc, char **argv)
{
    const int files = open_files();
    long before = 0, after;
    int i;
    if (argc != 2) return 2;
    for (i = 0; i < ROUNDS; i++) {
        void *library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
        const char *complaint;
        if (library == NULL) {
            fprintf(stderr, "%s\n", dlerror());
            return 1;
        }
        complaint = use(library);
        if (complaint != NULL || dlclose(library) != 0) {
            fprintf(stderr, "round %d: %s\n", i, complaint != NULL ? complaint : dlerror());
            return 1;
        }
        if (i == WARM) before = resident_kb();
    }
    after = resident_kb();
    printf("%ld kB after %d rounds, %ld kB after %d\n", before, WARM, after, ROUNDS);
    if (open_files() != files) fprintf(stderr, "%d open files, now %d\n", files, open_files());
    return after - before <= MAX_GROWTH_KB && open_files() == files ? 0 : 1;
}
