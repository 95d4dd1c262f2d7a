#!/usr/bin/env julia
# quantize.jl IN.safetensors OUT.safetensors [IMAGES STEPS]: libdfq from Julia by ccall alone.
#
# A vision transformer goes in, a 4-bit one comes out, without data; then both classify the
# synthetic images. DFQ_LIBRARY names the shared library where the system does not find it.
# tests/examples/signatures.py compares all types below with those of the library.
const LIB = get(ENV, "DFQ_LIBRARY", "libdfq.so")
const Raw = Ptr{Cvoid} # every handle is an opaque pointer
const DFQ_SYNTHESIZER_AUTO = -1
const DFQ_MODE_IMPROVED = 1
const DFQ_RECIPE_MIMIQ = 0

# The first fields of the structs in the headers are enough: each struct tells its size.
mutable struct SynthesizerOptions
    struct_size::UInt32
    kind::Int32
    images::Int64
    batch::Int64
    iterations::Int64
    SynthesizerOptions() = new()
end

mutable struct TunerOptions
    struct_size::UInt32
    optimizer::Int32
    steps::Int64
    TunerOptions() = new()
end

# A status that is not 0 raises the library's line.
function check(context, status)
    status == 0 && return
    text = ccall((:dfq_context_get_error, LIB), Cstring, (Raw,), context)
    error(unsafe_string(text))
end

# What writes a handle through its last argument. `held` has the calls that give handles back.
function make(call, release, context, held)
    out = Ref{Raw}(C_NULL)
    check(context, call(out))
    raw = out[]
    push!(held, () -> release(raw))
    return raw
end

release_context(h) = ccall((:dfq_context_release, LIB), Cvoid, (Raw,), h)
release_graph(h) = ccall((:dfq_graph_release, LIB), Cvoid, (Raw,), h)
release_tensor(h) = ccall((:dfq_tensor_release, LIB), Cvoid, (Raw,), h)
release_synthesizer(h) = ccall((:dfq_synthesizer_release, LIB), Cvoid, (Raw,), h)
release_tuner(h) = ccall((:dfq_tuner_release, LIB), Cvoid, (Raw,), h)

# The memory of an F32 tensor [rows, columns]; Julia's first index is the one that runs fastest.
function floats(tensor)
    dims = ccall((:dfq_tensor_get_dims, LIB), Ptr{Int64}, (Raw,), tensor)
    data = ccall((:dfq_tensor_get_data, LIB), Ptr{Cvoid}, (Raw,), tensor)
    rows, columns = unsafe_load(dims, 1), unsafe_load(dims, 2)
    return unsafe_wrap(Array, Ptr{Float32}(data), (columns, rows))
end

# The best class of each image.
function classes(graph, images, context, held)
    logits = make(release_tensor, context, held) do out
        ccall((:dfq_graph_forward, LIB), Int32, (Raw, Raw, Ref{Raw}), graph, images, out)
    end
    return [argmax(column) for column in eachcol(floats(logits))]
end

function quantize(source, target, counts, held)
    context = make(release_context, C_NULL, held) do out
        ccall((:dfq_context_create, LIB), Int32, (Ptr{Cvoid}, Ref{Raw}), C_NULL, out)
    end
    net = make(release_graph, context, held) do out
        ccall((:dfq_graph_load, LIB), Int32, (Raw, Cstring, Ptr{UInt8}, Ref{Raw}),
              context, source, C_NULL, out)
    end
    how, tune = SynthesizerOptions(), TunerOptions()
    ccall((:dfq_synthesizer_options_init, LIB), Cvoid,
          (Ref{SynthesizerOptions}, Csize_t, Int32, Int32, Raw),
          how, sizeof(SynthesizerOptions), DFQ_SYNTHESIZER_AUTO, DFQ_MODE_IMPROVED, net)
    ccall((:dfq_tuner_options_init, LIB), Cvoid, (Ref{TunerOptions}, Csize_t, Int32, Raw, Int64),
          tune, sizeof(TunerOptions), DFQ_RECIPE_MIMIQ, net, 0)
    if length(counts) == 2
        how.images = counts[1]
        how.iterations = tune.steps = counts[2]
    end
    synthesizer = make(release_synthesizer, context, held) do out
        ccall((:dfq_synthesizer_create, LIB), Int32, (Raw, Ref{SynthesizerOptions}, Ref{Raw}),
              net, how, out)
    end
    check(context, ccall((:dfq_synthesizer_run, LIB), Int32, (Raw,), synthesizer))
    images = make(release_tensor, context, held) do out
        ccall((:dfq_synthesizer_get_images, LIB), Int32, (Raw, Ref{Raw}), synthesizer, out)
    end
    low = make(release_graph, context, held) do out
        ccall((:dfq_graph_quantize, LIB), Int32, (Raw, Raw, Ptr{Cvoid}, Ref{Raw}),
              net, images, C_NULL, out)
    end
    tuner = make(release_tuner, context, held) do out
        ccall((:dfq_tuner_create, LIB), Int32, (Raw, Raw, Raw, Ref{TunerOptions}, Ref{Raw}),
              net, low, images, tune, out)
    end
    check(context, ccall((:dfq_tuner_run, LIB), Int32, (Raw,), tuner))
    check(context, ccall((:dfq_graph_save, LIB), Int32, (Raw, Cstring, Int32), low, target, 0))
    return classes(net, images, context, held), classes(low, images, context, held)
end

function main()
    if !(length(ARGS) in (2, 4))
        println(stderr, "usage: quantize.jl IN.safetensors OUT.safetensors [IMAGES STEPS]")
        exit(2)
    end
    held = Function[]
    try
        float, low = quantize(ARGS[1], ARGS[2], [parse(Int64, a) for a in ARGS[3:end]], held)
        println(ARGS[2], ": 4-bit; on its synthetic images it agrees with the float network on ",
                count(float .== low), " of ", length(low))
    catch problem
        println(stderr, "quantize.jl: ", sprint(showerror, problem))
        exit(1)
    finally
        foreach(release -> release(), reverse(held))
    end
end

main()
