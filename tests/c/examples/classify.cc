/* SPDX-License-Identifier: Apache-2.0 */
/* classify MODEL.onnx NUMBER...: one f32 input, one f32 output; prints the index of the largest output. C++11:
 *     c++ classify.cc $(pkg-config --cflags --libs pyinfer) -o classify */
#include <pyinfer.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

class Model {
public:
    explicit Model(const std::string &path)
    {
        pyinfer_model *model = nullptr;
        pyinfer_error error;
        if (pyinfer_load(path.c_str(), nullptr, &model, &error)) throw std::runtime_error(error.text);
        model_.reset(model);
    }

    /* Values in the order of the input's elements; the model says the shape. */
    std::vector<float> run(std::vector<float> &values)
    {
        const pyinfer_value *value = pyinfer_input(model_.get(), 0);
        pyinfer_tensor in = {}, out = {};
        in.data = values.data();
        in.dtype = PYINFER_F32;
        in.rank = value->rank;
        std::int64_t count = 1;
        for (int i = 0; i < value->rank; i++) {
            in.shape[i] = std::max<std::int64_t>(value->shape[i], 1);
            count *= in.shape[i];
        }
        if (count != static_cast<std::int64_t>(values.size()))
            throw std::runtime_error("the model wants " + std::to_string(count) + " numbers");

        std::vector<float> scores(1 << 16);
        out.data = scores.data();
        out.capacity = scores.size() * sizeof(float);
        pyinfer_error error;
        if (pyinfer_run(model_.get(), &in, 1, &out, 1, &error)) throw std::runtime_error(error.text);
        std::size_t n = 1;
        for (int i = 0; i < out.rank; i++) n *= static_cast<std::size_t>(out.shape[i]);
        scores.resize(n);
        return scores;
    }

private:
    struct Free {
        void operator()(pyinfer_model *model) const { pyinfer_free(model); }
    };
    std::unique_ptr<pyinfer_model, Free> model_;
};

}  // namespace

int main(int argc, char **argv)
{
    if (argc < 3) {
        std::fprintf(stderr, "usage: %s MODEL.onnx NUMBER...\n", argv[0]);
        return 2;
    }
    try {
        std::vector<float> values;
        for (int i = 2; i < argc; i++) values.push_back(std::strtof(argv[i], nullptr));
        const std::vector<float> scores = Model(argv[1]).run(values);
        std::printf("%ld\n", static_cast<long>(std::max_element(scores.begin(), scores.end()) - scores.begin()));
    } catch (const std::exception &error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
    return 0;
}
