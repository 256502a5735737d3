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

#define EXPORT "; export the model with torch.onnx.export(..., dynamo=True)"
static const signature signatures[] = {
    {0, "version https://git-lfs", 23, "a Git LFS pointer, not the model: fetch the real file with 'git lfs pull'"},
    {0, "version http://git-media", 24, "a Git LFS pointer, not the model: fetch the real file with 'git lfs pull'"},
    {0, "PK\3\4", 4, "a zip archive (a .pt, .pt2, .npz or TorchScript file)" EXPORT},
    {0, "PK\5\6", 4, "an empty zip archive"},
    {0, "\x1f\x8b", 2, "compressed with gzip: unpack it first"},
    {0, "BZh", 3, "compressed with bzip2: unpack it first"},
    {0, "\xfd" "7zXZ", 5, "compressed with xz: unpack it first"},
    {0, "\x28\xb5\x2f\xfd", 4, "compressed with zstd: unpack it first"},
    {0, "GGUF", 4, "a GGUF file of llama.cpp, which holds weights for that program only"},
    {0, "ggml", 4, "a GGML file, which holds weights for another program only"},
    {4, "TFL3", 4, "a TensorFlow Lite model; convert it with tf2onnx"},
    {4, "ORTM", 4, "a model in ONNX Runtime's own format; use the .onnx file that it was made from"},
    {0, "\x89HDF", 4, "an HDF5 file (Keras weights); convert the Keras model with tf2onnx"},
    {0, "\x80\x02", 2, "a Python pickle (an old .pt or .pth file), which may run code when it is opened" EXPORT},
    {0, "\x80\x04", 2, "a Python pickle, which may run code when it is opened" EXPORT},
    {0, "\x80\x05", 2, "a Python pickle, which may run code when it is opened" EXPORT},
    {0, "\x93NUMPY", 6, "a NumPy array, not a model"},
    {0, "\x7f" "ELF", 4, "a program or shared library, not a model"},
    {0, "%PDF", 4, "a PDF document, not a model"},
    {0, "\x89PNG", 4, "a PNG picture, not a model"},
    {0, "\xff\xd8\xff", 3, "a JPEG picture, not a model"},
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
        return "a web page (HTML), probably an error page of a download";
    if (starts(p, n, "<?xml")) return "an XML file; an OpenVINO model must be exported to ONNX from its source";
    if (starts(p, n, "{\"") || starts(p, n, "{\n") || starts(p, n, "[{")) return "a JSON text, not a model";
    if (starts(p, n, "ir_version:") || starts(p, n, "graph {"))
        return "ONNX written as text; load it with onnx.load(..., format='textproto') and save it with onnx.save";
    return NULL;
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
    if (size == 0) return pi_fail(err, PI_E_MODEL, "not an ONNX model: the file is empty");
    for (size_t i = 0; i < PI_COUNT(signatures) && !what; i++) {
        const signature *s = &signatures[i];
        if (n >= s->at + s->n && memcmp(bytes + s->at, s->bytes, s->n) == 0) what = s->what;
    }
    if (!what) what = text_format(bytes, n);
    if (!what && is_safetensors(bytes, n, size))
        what = "a safetensors file, which has weights but no computation: load them in PyTorch and export with torch.onnx.export";
    if (!what && is_saved_model(bytes, n)) what = "a TensorFlow SavedModel; convert it with tf2onnx";
    return what ? pi_fail(err, PI_E_MODEL, "not an ONNX model: this is %s", what) : PI_E_OK;
}
