// infer_cpp MODEL.safetensors PICTURE...: tells the classes of pictures on two threads. Each has a
// context and a runtime of its own; the runtimes are clones, which share the weights.
//
// c++ -std=c++11 -pthread infer.cpp $(pkg-config --cflags --libs dfq) -o infer_cpp
#include <dfq/dfq.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace
{

// A context of one thread, and a runtime in it. Failures are exceptions.
class Net
{
  public:
    explicit Net(const char *path) : Net()
    {
        check(dfq_runtime_load(context_.get(), path, nullptr, nullptr, &made_));
        take();
    }

    Net clone() const
    {
        Net net;
        net.check(dfq_runtime_clone(runtime_.get(), net.context_.get(), &net.made_));
        net.take();
        return net;
    }

    // The class of a picture file.
    std::ptrdiff_t classify(const char *picture)
    {
        check(dfq_runtime_read_picture(runtime_.get(), picture, pixels_.data(), pixels_.size()));
        dfq_runtime_input in;
        dfq_runtime_input_init(&in, sizeof in, runtime_.get());
        in.data = pixels_.data();
        check(dfq_runtime_run(runtime_.get(), &in, logits_.data(),
                              static_cast<int64_t>(logits_.size())));
        return std::max_element(logits_.begin(), logits_.end()) - logits_.begin();
    }

  private:
    template <typename T, void (*Release)(T *)> struct Give {
        void operator()(T *p) const
        {
            Release(p);
        }
    };

    Net()
    {
        dfq_context_options how;
        dfq_context *context = nullptr;
        dfq_context_options_init(&how, sizeof how);
        how.threads = 1;
        if (dfq_context_create(&how, &context) != DFQ_OK) throw std::runtime_error("no context");
        context_.reset(context);
    }

    void check(dfq_status status) const
    {
        if (status != DFQ_OK) throw std::runtime_error(dfq_context_get_error(context_.get()));
    }

    void take()
    {
        runtime_.reset(made_);
        dfq_runtime_info info = {};
        info.struct_size = sizeof info;
        check(dfq_runtime_get_info(made_, &info));
        pixels_.resize(
            static_cast<std::size_t>(info.image_height * info.image_width * info.channels));
        logits_.resize(static_cast<std::size_t>(info.classes));
    }

    std::unique_ptr<dfq_context, Give<dfq_context, dfq_context_release>> context_;
    std::unique_ptr<dfq_runtime, Give<dfq_runtime, dfq_runtime_release>> runtime_;
    dfq_runtime *made_ = nullptr;
    std::vector<uint8_t> pixels_;
    std::vector<float> logits_;
};

// Every second picture from `first` on.
void work(Net &net, char **pictures, int first, int n, std::vector<std::string> &lines)
{
    for (int i = first; i < n; i += 2) {
        try {
            lines[static_cast<std::size_t>(i)] =
                std::string(pictures[i]) + ": class " + std::to_string(net.classify(pictures[i]));
        } catch (const std::exception &e) {
            lines[static_cast<std::size_t>(i)] = std::string("infer: ") + e.what();
        }
    }
}

} // namespace

int main(int argc, char **argv)
{
    if (argc < 3) {
        std::fprintf(stderr, "usage: infer_cpp MODEL.safetensors PICTURE...\n");
        return 2;
    }
    try {
        std::vector<std::string> lines(static_cast<std::size_t>(argc - 2));
        Net net(argv[1]), second = net.clone();
        std::thread other(work, std::ref(second), argv + 2, 1, argc - 2, std::ref(lines));
        work(net, argv + 2, 0, argc - 2, lines);
        other.join();
        for (const std::string &line : lines) std::puts(line.c_str());
    } catch (const std::exception &e) {
        std::fprintf(stderr, "infer: %s\n", e.what());
        return 1;
    }
    return 0;
}
