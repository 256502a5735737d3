/* SPDX-License-Identifier: Apache-2.0 */
/* Files that people hand in by mistake: recognised by their first bytes, named, with the way out. */
#include <string.h>
#include "model/reader.h"

typedef struct {
    size_t at;
    const char *bytes;
    size_t n;
    const char *what;
} signature;

#define EXPORT "; load it in PyTorch and export the model with torch.onnx.export(..., dynamo=True)"
#define GIVE ": give the model's .onnx file"
#define TORCH "a PyTorch file (weights, TorchScript or a program of torch.export)" EXPORT
#define PICKLE "a Python pickle (perhaps an old .pt or .pth file), which may run code when it is opened"
#define LFS "a Git LFS pointer, not the file itself: fetch that with 'git lfs pull'"
#define TF "; convert it with tf2onnx: python -m tf2onnx.convert "
static const signature signatures[] = {
    {0, "version https://git-lfs", 23, LFS},
    {0, "version http://git-media", 24, LFS},
    {0, "PK\5\6", 4, "an empty zip archive: fetch the file again"},
    {0, "\x1f\x8b", 2, "compressed with gzip: unpack it first"},
    {0, "BZh", 3, "compressed with bzip2: unpack it first"},
    {0, "\xfd" "7zXZ", 5, "compressed with xz: unpack it first"},
    {0, "\x28\xb5\x2f\xfd", 4, "compressed with zstd: unpack it first"},
    {0, "GGUF", 4, "a GGUF file, which holds weights for llama.cpp only: use the model's ONNX export"},
    {0, "ggml", 4, "a GGML file, which holds weights for llama.cpp only: use the model's ONNX export"},
    {4, "TFL3", 4, "a TensorFlow Lite model" TF "--tflite FILE --output model.onnx"},
    {4, "ORTM", 4, "a model in ONNX Runtime's own format; use the .onnx file that it was made from"},
    {0, "\x89HDF", 4, "an HDF5 file, perhaps of Keras; load it there and call model.export('model.onnx', format='onnx')"},
    {0, "\x80\x02", 2, PICKLE EXPORT},
    {0, "\x80\x04", 2, PICKLE EXPORT},
    {0, "\x80\x05", 2, PICKLE EXPORT},
    {257, "ustar", 5, "a tar archive: unpack it first"},
    {0, "\x93NUMPY", 6, "a NumPy array: load it with numpy.load and give it to the model"},
    {0, "\x7f" "ELF", 4, "a program or shared library" GIVE},
    {0, "7767517\n", 8, "a model of ncnn: use the ONNX file that it was made from"},
    {0, "%PDF", 4, "a PDF document" GIVE},
    {0, "\x89PNG", 4, "a PNG picture" GIVE},
    {0, "\xff\xd8\xff", 3, "a JPEG picture" GIVE},
};

static bool starts(const uint8_t *p, size_t n, const char *text)
{
    size_t k = strlen(text);
    if (n < k) return false;
    for (size_t i = 0; i < k; i++) {
        uint8_t c = p[i];
        if (c >= 'A' && c <= 'Z') c = (uint8_t)(c + 32);
        if (c != (uint8_t)text[i]) return false;
    }
    return true;
}

static const char *text_format(const uint8_t *p, size_t n)
{
    if (n >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0) p += 3, n -= 3;
    while (n && (*p == ' ' || *p == '\t' || *p == '\r' || *p == '\n')) p++, n--;
    if (starts(p, n, "<!doctype html") || starts(p, n, "<html"))
        return "a web page (HTML), perhaps the error page of a download: download it again, with the address of the file itself";
    if (starts(p, n, "<?xml") || starts(p, n, "<net "))
        return "an XML file, perhaps of OpenVINO: use the ONNX file, or export the model to ONNX from where it was trained";
    if (starts(p, n, "{\"") || starts(p, n, "{\n") || starts(p, n, "{\r\n") || starts(p, n, "[{"))
        return "a JSON text, perhaps a model's configuration: the model is in another file, *.onnx";
    if (starts(p, n, "ir_version:") || starts(p, n, "graph {"))
        return "ONNX written as text; load it with onnx.load(..., format='textproto') and save it with onnx.save";
    for (size_t i = 0; i < n; i++) /* an ONNX file has such bytes from its first one on */
        if (p[i] < 32 && p[i] != '\n' && p[i] != '\r' && p[i] != '\t') return NULL;
    return n > 3 ? "a text" GIVE : NULL;
}

/* What the name of the first file in a zip archive ends with. */
static const char *zip_content(const uint8_t *p, size_t n)
{
    static const struct {
        const char *end, *what;
    } ends[] = {
        {".npy", "an archive of NumPy arrays: load it with numpy.load and give them to the model"},
        {"metadata.json", "a Keras model; load it there and call model.export('model.onnx', format='onnx')"},
        {"config.json", "a Keras model; load it there and call model.export('model.onnx', format='onnx')"},
        {"data.pkl", TORCH},
        {".onnx", "a zip archive with an ONNX file in it: unpack it first"},
        {"", "a zip archive: unpack it first, or export the model to ONNX"},
    };
    if (n < 4 || memcmp(p, "PK\3\4", 4) != 0) return NULL;
    size_t len = n < 30 ? 0 : p[26] | (size_t)p[27] << 8, i = 0, k;
    if (len && len > n - 30) len = 0;
    if (n >= 32 + len && memcmp(p + 30 + len, "FB", 2) == 0) /* as PyTorch aligns its data */
        return TORCH;
    for (; (k = strlen(ends[i].end)) > len || memcmp(p + 30 + len - k, ends[i].end, k) != 0; i++) continue;
    return ends[i].what;
}

static bool holds(const uint8_t *p, size_t n, const char *bytes, size_t k)
{
    for (size_t i = 0; i + k <= n; i++)
        if (memcmp(p + i, bytes, k) == 0) return true;
    return false;
}

/* Other messages of protobuf: their first field is not ir_version, or their second not producer_name. */
static const char *other_message(const uint8_t *p, size_t n)
{
    size_t i = 0;
    if (n && p[0] == 0x0a) {
        bool nodes = holds(p, n, "\x12\x0bPlaceholder", 13) || holds(p, n, "\x12\x05" "Const", 7);
        return nodes ? "a frozen TensorFlow graph" TF "--graphdef FILE --inputs NAMES --outputs NAMES --output model.onnx" : NULL;
    }
    while (i + 1 < n && p[i] == 0x08 && p[i + 1] < 0x80) i += 2;
    return i && i + 2 < n && p[i] == 0x10 && p[i + 1] < 32 && (p[i + 2] & 7) == 2
               ? "a single ONNX tensor, not a model: onnx.load_tensor(file) reads it" : NULL;
}

/* 8 bytes of length, then a JSON object. */
static bool is_safetensors(const uint8_t *p, size_t n, uint64_t size)
{
    if (n < 10 || p[8] != '{' || (p[9] != '"' && p[9] != '}' && p[9] != ' ')) return false;
    uint64_t head = 0;
    for (int i = 0; i < 8; i++) head |= (uint64_t)p[i] << (8 * i);
    return head >= 2 && head <= size - 8;
}

/* saved_model_schema_version = 1, then a MetaGraphDef, which starts with a MetaInfoDef; in ONNX field 2 is the producer's name. */
static bool is_saved_model(const uint8_t *p, size_t n)
{
    if (n < 8 || p[0] != 8 || p[1] != 1 || p[2] != 0x12) return false;
    const uint8_t *at = p + 3;
    uint64_t len;
    return pi_varint(&at, p + n, &len) && len > 1000 && at < p + n && *at == 0x0a;
}

pi_status read_hint(const uint8_t *bytes, size_t n, uint64_t size, pi_error *err)
{
    const char *what = NULL;
    if (n > 1024) n = 1024;
    if (size == 0) return pi_fail(err, PI_E_MODEL, "not an ONNX model: the file is empty; fetch it again");
    for (size_t i = 0; i < PI_COUNT(signatures) && !what; i++) {
        const signature *s = &signatures[i];
        if (n >= s->at + s->n && memcmp(bytes + s->at, s->bytes, s->n) == 0) what = s->what;
    }
    if (!what) what = zip_content(bytes, n);
    if (!what) what = text_format(bytes, n);
    if (!what && is_safetensors(bytes, n, size))
        what = "a safetensors file, which has weights but no computation" EXPORT;
    if (!what && is_saved_model(bytes, n)) what = "a TensorFlow SavedModel" TF "--saved-model FOLDER --output model.onnx";
    if (!what) what = other_message(bytes, n);
    return what ? pi_fail(err, PI_E_MODEL, "not an ONNX model: this is %s", what) : PI_E_OK;
}

const char *read_hint_name(const char *path)
{
    static const struct {
        const char *end, *what;
    } ends[] = {
        {".bin", "a .bin file has the weights of OpenVINO or PyTorch: use the model's .onnx file"},
        {".pdmodel", "a .pdmodel file is of PaddlePaddle: convert it with paddle2onnx"},
        {".mlmodel", "an .mlmodel file is of Core ML: export the model to ONNX from where it was trained"},
        {".engine", "an .engine file is of TensorRT: use the ONNX file that it was made from"},
        {".mnn", "an .mnn file is of MNN: use the ONNX file that it was made from"},
    };
    size_t n = path ? strlen(path) : 0;
    for (size_t i = 0; i < PI_COUNT(ends); i++) {
        size_t k = strlen(ends[i].end);
        if (n > k && strcmp(path + n - k, ends[i].end) == 0) return ends[i].what;
    }
    return NULL;
}
