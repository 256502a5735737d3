/* SPDX-License-Identifier: Apache-2.0 */
/* ones MODEL.onnx: runs a model whose inputs are f32 with inputs of ones (1 for each symbolic dimension), and prints
 * each output. A complete program in C11:
 *     cc ones.c $(pkg-config --cflags --libs pyinfer) -o ones */
#include <pyinfer.h>
#include <stdio.h>
#include <stdlib.h>

enum { MOST = 8 }; /* inputs */

/* Ones in the shape of an input; 0 if it has another type or there is no memory. */
static int make_input(const pyinfer_value *value, pyinfer_tensor *tensor)
{
    size_t count = 1;
    float *data;

    if (value->dtype != PYINFER_F32 || value->rank < 0) return 0;
    tensor->dtype = PYINFER_F32;
    tensor->rank = value->rank;
    for (int i = 0; i < value->rank; i++) {
        tensor->shape[i] = value->shape[i] < 0 ? 1 : value->shape[i];
        count *= (size_t)tensor->shape[i];
    }
    data = malloc(count ? count * sizeof *data : 1);
    if (!data) return 0;
    for (size_t i = 0; i < count; i++) data[i] = 1.0F;
    tensor->data = data;
    return 1;
}

static void print_output(const char *name, const pyinfer_tensor *tensor)
{
    size_t count = 1;

    printf("%s %s[", name, pyinfer_dtype_name((pyinfer_dtype)tensor->dtype));
    for (int i = 0; i < tensor->rank; i++) {
        printf(i ? ", %lld" : "%lld", (long long)tensor->shape[i]);
        count *= (size_t)tensor->shape[i];
    }
    printf("]:");
    if (tensor->dtype == PYINFER_F32)
        for (size_t i = 0; i < count && i < 10; i++) printf(" %g", (double)((const float *)tensor->data)[i]);
    printf("\n");
}

int main(int argc, char **argv)
{
    pyinfer_model *model = NULL;
    pyinfer_request *request = NULL;
    pyinfer_tensor input[MOST] = {{.data = NULL}};
    pyinfer_error error;
    int n, status = 1;

    if (argc != 2) {
        fprintf(stderr, "usage: %s MODEL.onnx\n", argv[0]);
        return 2;
    }
    if (pyinfer_load(argv[1], NULL, &model, &error)) goto failed;
    n = pyinfer_input_count(model);
    for (int i = 0; i < n; i++) {
        if (i == MOST || !make_input(pyinfer_input(model, i), &input[i])) {
            fprintf(stderr, "input %d: only f32, at most %d inputs\n", i, MOST);
            goto done;
        }
    }
    if (pyinfer_begin(model, input, n, &request, &error)) goto failed;
    if (pyinfer_execute(request, NULL, &error)) goto failed;
    for (int i = 0; i < pyinfer_output_count(model); i++) {
        pyinfer_tensor output;

        pyinfer_output_type(request, i, &output);
        print_output(pyinfer_output(model, i)->name, &output);
    }
    status = 0;
    goto done;

failed:
    fprintf(stderr, "%s: %s\n", pyinfer_status_exception(error.code), error.text);
done:
    if (request) pyinfer_end(request);
    for (int i = 0; i < MOST; i++) free(input[i].data);
    pyinfer_free(model);
    return status;
}
