#!/usr/bin/env julia
# infer.jl MODEL.safetensors PICTURE...: the classes of pictures, from Julia by ccall alone.
#
# A Runtime loads a network once, float or low-bit; a run allocates nothing in libdfq. DFQ_LIBRARY
# names the shared library where the system does not find it. tests/examples/signatures.py compares
# all types below with those of the library.
const LIB = get(ENV, "DFQ_LIBRARY", "libdfq.so")
const Raw = Ptr{Cvoid} # every handle is an opaque pointer

# The first fields of the structs in the headers are enough: each struct tells its size.
mutable struct RuntimeInfo
    struct_size::UInt32
    quantized::Int32
    batch::Int64
    image::Int64
    channels::Int64
    classes::Int64
    RuntimeInfo() = new()
end

mutable struct RuntimeInput
    struct_size::UInt32
    pixels::Int32
    data::Ptr{Cvoid}
    n::Int64
    height::Int64
    width::Int64
    channels::Int64
    RuntimeInput() = new()
end

# A network, and memory for one picture and its logits. One thread at a time.
mutable struct Runtime
    context::Raw
    handle::Raw
    pixels::Vector{UInt8}
    logits::Vector{Float32}
end

# A status that is not 0 raises the library's line.
function check(context, status)
    status == 0 && return
    text = ccall((:dfq_context_get_error, LIB), Cstring, (Raw,), context)
    error(unsafe_string(text))
end

function release(net)
    ccall((:dfq_runtime_release, LIB), Cvoid, (Raw,), net.handle)
    ccall((:dfq_context_release, LIB), Cvoid, (Raw,), net.context)
    net.handle = net.context = C_NULL
end

function load(path)
    out = Ref{Raw}(C_NULL)
    status = ccall((:dfq_context_create, LIB), Int32, (Ptr{Cvoid}, Ref{Raw}), C_NULL, out)
    status == 0 || error("no context")
    net = Runtime(out[], C_NULL, UInt8[], Float32[])
    finalizer(release, net)
    status = ccall((:dfq_runtime_load, LIB), Int32,
                   (Raw, Cstring, Ptr{Cvoid}, Ptr{Cvoid}, Ref{Raw}),
                   net.context, path, C_NULL, C_NULL, out)
    check(net.context, status)
    net.handle = out[]
    info = RuntimeInfo()
    info.struct_size = sizeof(RuntimeInfo)
    check(net.context, ccall((:dfq_runtime_get_info, LIB), Int32, (Raw, Ref{RuntimeInfo}),
                             net.handle, info))
    resize!(net.pixels, info.image * info.image * info.channels)
    resize!(net.logits, info.classes)
    return net
end

# The logits of a picture file, resized and cropped as the network wants it; valid until the next run.
function run(net, picture)
    check(net.context, ccall((:dfq_runtime_read_picture, LIB), Int32,
                             (Raw, Cstring, Ptr{UInt8}, Csize_t),
                             net.handle, picture, net.pixels, length(net.pixels)))
    input = RuntimeInput()
    ccall((:dfq_runtime_input_init, LIB), Cvoid, (Ref{RuntimeInput}, Csize_t, Raw),
          input, sizeof(RuntimeInput), net.handle)
    GC.@preserve net begin
        input.data = pointer(net.pixels)
        check(net.context, ccall((:dfq_runtime_run, LIB), Int32,
                                 (Raw, Ref{RuntimeInput}, Ptr{Float32}, Int64),
                                 net.handle, input, net.logits, length(net.logits)))
    end
    return net.logits
end

function main()
    if length(ARGS) < 2
        println(stderr, "usage: infer.jl MODEL.safetensors PICTURE...")
        exit(2)
    end
    try
        net = load(ARGS[1])
        for picture in ARGS[2:end]
            println(picture, ": class ", argmax(run(net, picture)) - 1) # Julia counts from 1
        end
    catch problem
        println(stderr, "infer.jl: ", problem isa ErrorException ? problem.msg : sprint(showerror, problem))
        exit(1)
    end
end

main()
