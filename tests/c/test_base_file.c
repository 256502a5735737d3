/* SPDX-License-Identifier: Apache-2.0 */
/* Files: hostile locations through both ways of opening, files that change, what is left open. */
#define _GNU_SOURCE
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "base/alloc.h"
#include "check.h"

static char top[] = "/tmp/test_base_file.XXXXXX"; /* the model's folder is m in it */
static char secret[200];                           /* a path outside the model's folder */

static void put(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    if (fd >= 0) (void)close(fd);
}

static void make_tree(void)
{
    char path[200];
    CHECK(mkdtemp(top) && chdir(top) == 0);
    (void)snprintf(secret, sizeof secret, "%s/secret", top);
    put("secret", "SECRET");
    CHECK(mkdir("m", 0700) == 0 && chdir("m") == 0 && mkdir("sub", 0700) == 0 && mkdir("sub/deep", 0700) == 0);
    put("model.onnx", "the model");
    put("data.bin", "0123456789");
    put("sub/data.bin", "sub");
    put("sub/deep/data.bin", "deep");
    put("empty", "");
    put("..data", "dots");
    put("a..b", "dots");
    put("...", "dots");
    put("back\\slash", "letter");
    put("..\\data", "letter");
    put("\xff\xfe\x01", "bytes");
    put("with space\nand line", "bytes");
    (void)snprintf(path, sizeof path, "%s/m/data.bin", top);
    CHECK(symlink("data.bin", "link") == 0 && symlink(path, "absolute_link") == 0 && symlink(secret, "link_out") == 0);
    CHECK(symlink("sub", "folder_link") == 0 && symlink("..", "up") == 0 && symlink("/", "root") == 0);
    CHECK(symlink("loop", "loop") == 0 && symlink("nowhere", "dangling") == 0 && symlink("../data.bin", "sub/link") == 0);
    CHECK(symlink("/proc/self/fd", "fds") == 0 && symlink("/dev/zero", "zero") == 0);
    CHECK(link(secret, "hard") == 0 && link("sub/data.bin", "sub/again") == 0);
    CHECK(mkfifo("pipe", 0600) == 0);
    struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "socket"};
    int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(s >= 0 && bind(s, (const struct sockaddr *)&name, sizeof name) == 0);
    (void)close(s);
}

static void remove_tree(void)
{
    static const char *const names[] = {"model.onnx", "data.bin", "sub/again", "sub/data.bin", "sub/deep/data.bin", "sub/link",
                                        "sub/deep", "sub", "empty", "..data", "a..b", "...", "back\\slash", "..\\data",
                                        "\xff\xfe\x01", "with space\nand line", "link", "absolute_link", "link_out", "folder_link",
                                        "up", "root", "loop", "dangling", "fds", "zero", "hard", "pipe", "socket",
                                        "../m2/outside", "../m2", "../secret", "../m"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) CHECK(remove(names[i]) == 0);
    CHECK(chdir("/") == 0 && remove(top) == 0);
}

static int open_files(void)
{
    int n = 0;
    for (int fd = 0; fd < 256; fd++) n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* Open files that another program would inherit. */
static int inherited(void)
{
    int n = 0;
    for (int fd = 0; fd < 256; fd++) n += fcntl(fd, F_GETFD) == 0;
    return n;
}
static int inherited_before;

/* ---- locations ---- */

typedef pi_status (*opener)(const pi_file *, const char *, size_t, pi_file **, pi_error *);

#define TEXT(s) s, sizeof(s) - 1
static const struct {
    const char *location;
    size_t n;
    const char *content; /* NULL: refused */
    pi_status code;
    const char *says;
} rows[] = {
    {TEXT("data.bin"), "0123456789", PI_E_OK, ""},
    {TEXT("./data.bin"), "0123456789", PI_E_OK, ""},
    {TEXT("././/./data.bin"), "0123456789", PI_E_OK, ""},
    {TEXT("sub//deep/./data.bin"), "deep", PI_E_OK, ""},
    {TEXT("sub/deep/data.bin"), "deep", PI_E_OK, ""},
    {TEXT("model.onnx"), "the model", PI_E_OK, ""},
    {TEXT("empty"), "", PI_E_OK, ""},
    {TEXT("..data"), "dots", PI_E_OK, ""},
    {TEXT("a..b"), "dots", PI_E_OK, ""},
    {TEXT("..."), "dots", PI_E_OK, ""},
    {TEXT("back\\slash"), "letter", PI_E_OK, ""},
    {TEXT("..\\data"), "letter", PI_E_OK, ""},
    {TEXT("\xff\xfe\x01"), "bytes", PI_E_OK, ""},
    {TEXT("with space\nand line"), "bytes", PI_E_OK, ""},
    /* by their letters */
    {TEXT(""), NULL, PI_E_MODEL, "empty"},
    {TEXT("/"), NULL, PI_E_MODEL, "absolute"},
    {TEXT("/etc/passwd"), NULL, PI_E_MODEL, "absolute"},
    {TEXT("//etc/passwd"), NULL, PI_E_MODEL, "absolute"},
    {TEXT("/proc/self/mem"), NULL, PI_E_MODEL, "absolute"},
    {TEXT("/dev/zero"), NULL, PI_E_MODEL, "absolute"},
    {TEXT(".."), NULL, PI_E_MODEL, "'..'"},
    {TEXT("../secret"), NULL, PI_E_MODEL, "'..'"},
    {TEXT("./../secret"), NULL, PI_E_MODEL, "'..'"},
    {TEXT(".//..//secret"), NULL, PI_E_MODEL, "'..'"},
    {TEXT("sub/../data.bin"), NULL, PI_E_MODEL, "'..'"},
    {TEXT("sub/../../secret"), NULL, PI_E_MODEL, "'..'"},
    {TEXT("sub/.."), NULL, PI_E_MODEL, "'..'"},
    {TEXT("data.bin/.."), NULL, PI_E_MODEL, "'..'"},
    {TEXT("data.bin\0"), NULL, PI_E_MODEL, "NUL"},
    {TEXT("data.bin\0/../../secret"), NULL, PI_E_MODEL, "NUL"},
    {TEXT("\0"), NULL, PI_E_MODEL, "NUL"},
    /* by what is there */
    {TEXT("missing"), NULL, PI_E_FILE, "'missing': there is no such file beside the model"},
    {TEXT("sub/missing"), NULL, PI_E_FILE, "beside the model"},
    {TEXT("no/such/folder"), NULL, PI_E_FILE, "beside the model"},
    {TEXT("C:\\data.bin"), NULL, PI_E_FILE, "beside the model"},
    {TEXT("\\\\server\\data.bin"), NULL, PI_E_FILE, "beside the model"},
    {TEXT("..\\..\\secret"), NULL, PI_E_FILE, "beside the model"},
    {TEXT("http://localhost/data.bin"), NULL, PI_E_FILE, "beside the model"},
    {TEXT("file:///etc/passwd"), NULL, PI_E_FILE, "beside the model"},
    {TEXT("~/data.bin"), NULL, PI_E_FILE, "beside the model"},
    {TEXT("$HOME"), NULL, PI_E_FILE, "beside the model"},
    {TEXT("data.bin%00"), NULL, PI_E_FILE, "beside the model"},
    {TEXT("%2e%2e/secret"), NULL, PI_E_FILE, "beside the model"},
    {TEXT("*.bin"), NULL, PI_E_FILE, "beside the model"},
    {TEXT("%s%s%n"), NULL, PI_E_FILE, "'%s%s%n'"},
    {TEXT("new\nline"), NULL, PI_E_FILE, "'new?line'"},
    {TEXT("\x1b[31m"), NULL, PI_E_FILE, "'?[31m'"},
    {TEXT("link"), NULL, PI_E_FILE, "symbolic link"},
    {TEXT("absolute_link"), NULL, PI_E_FILE, "symbolic link"},
    {TEXT("link_out"), NULL, PI_E_FILE, "symbolic link"},
    {TEXT("sub/link"), NULL, PI_E_FILE, "symbolic link"},
    {TEXT("dangling"), NULL, PI_E_FILE, "symbolic link"},
    {TEXT("loop"), NULL, PI_E_FILE, "symbolic link"},
    {TEXT("folder_link/data.bin"), NULL, PI_E_FILE, "symbolic link"},
    {TEXT("up/secret"), NULL, PI_E_FILE, "symbolic link"},
    {TEXT("up/m/data.bin"), NULL, PI_E_FILE, "symbolic link"},
    {TEXT("root/etc/passwd"), NULL, PI_E_FILE, "symbolic link"},
    {TEXT("fds/0"), NULL, PI_E_FILE, "symbolic link"},
    {TEXT("zero"), NULL, PI_E_FILE, "symbolic link"},
    {TEXT("hard"), NULL, PI_E_FILE, "hard link"},
    {TEXT("sub/again"), NULL, PI_E_FILE, "hard link"},
    {TEXT("sub/data.bin"), NULL, PI_E_FILE, "hard link"},
    {TEXT("pipe"), NULL, PI_E_FILE, "pipe"},
    {TEXT("socket"), NULL, PI_E_FILE, ""},
    {TEXT("sub"), NULL, PI_E_FILE, "folder"},
    {TEXT("sub/"), NULL, PI_E_FILE, ""},
    {TEXT("."), NULL, PI_E_FILE, "folder"},
    {TEXT("./"), NULL, PI_E_FILE, ""},
    {TEXT("data.bin/"), NULL, PI_E_FILE, ""},
    {TEXT("data.bin/x"), NULL, PI_E_FILE, "no folder"},
};

static void check_location(opener open_it, const pi_file *model, size_t row)
{
    pi_file *f = (pi_file *)&f;
    pi_error err = {0};
    int before = open_files();
    pi_status st = open_it(model, rows[row].location, rows[row].n, &f, &err);
    bool good = st == rows[row].code && (rows[row].content != NULL) == (f != NULL);
    if (good && f) {
        char text[32] = "";
        size_t n = strlen(rows[row].content);
        good = pi_file_size(f) == n && !pi_file_bytes(f);
        good = good && pi_file_read(f, 0, text, n, &err) == PI_E_OK && memcmp(text, rows[row].content, n) == 0;
        pi_file_unref(f);
    } else if (good)
        good = err.code == st && strstr(err.text, rows[row].says) && !strpbrk(err.text, "\n\x1b");
    if (!good || open_files() != before) fprintf(stderr, "location %s: %d %s\n", rows[row].location, (int)st, err.text);
    CHECK(good && open_files() == before);
    CHECK(open_it(model, rows[row].location, rows[row].n, &f, NULL) == rows[row].code); /* nobody wants the text */
    if (rows[row].content) pi_file_unref(f);
}

static void check_long(opener open_it, const pi_file *model)
{
    static char text[5000];
    pi_file *f;
    for (size_t n = 4000; n < 4200; n++) {
        pi_error err = {0};
        memset(text, 'x', sizeof text);
        CHECK(open_it(model, text, n, &f, &err) == (n > 4095 ? PI_E_MODEL : PI_E_FILE) && !f && strlen(err.text) < 400);
        for (size_t i = 0; i < n; i += 2) text[i] = '.', text[i + 1] = '/'; /* ./././ */
        memcpy(text + n - 9, "/data.bin", 9);
        pi_status st = open_it(model, text, n, &f, &err);
        CHECK((st == PI_E_OK) == (f != NULL) && (n <= 4095 || st == PI_E_MODEL));
        if (n == 4001) CHECK(f); /* n odd: the dots end in front of the name */
        pi_file_unref(f);
    }
    for (size_t n = 0; n < 16; n++) { /* characters of two bytes are not cut in two */
        pi_error err = {0};
        memset(text, 'x', n);
        for (size_t i = n; i + 1 < 600; i += 2) memcpy(text + i, "\xc3\xa4", 2);
        CHECK(open_it(model, text, 600, &f, &err) == PI_E_FILE);
        const char *end = strstr(err.text, "...");
        CHECK(end && ((end[-1] == '\xa4' && end[-2] == '\xc3') || end[-1] == 'x'));
    }
}

static void test_locations(void)
{
    static const opener openers[] = {pi_file_open_external, pi_file_test_by_steps};
    static const char *const paths[] = {"model.onnx", "./model.onnx", "../m/model.onnx"};
    for (size_t k = 0; k < 2; k++)
        for (size_t p = 0; p < 3; p++) {
            pi_file *model;
            CHECK(pi_file_open(paths[p], &model, NULL) == PI_E_OK);
            for (size_t row = 0; row < sizeof rows / sizeof *rows; row++) check_location(openers[k], model, row);
            if (p == 0) check_long(openers[k], model);
            pi_file_unref(model);
        }
}

/* Somebody swaps a file for a link to the secret while it is opened, over and over: never the secret. */
static int stop; /* atomic */

static void *swapper(void *arg)
{
    (void)arg;
    for (int i = 0; !__atomic_load_n(&stop, __ATOMIC_RELAXED); i++) {
        int fd = open("public", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        (void)!write(fd, "public", 6);
        (void)close(fd);
        (void)!symlink(secret, "soft");
        (void)!link(secret, "hard2");
        (void)rename(i % 2 ? "soft" : "hard2", "swap");
        (void)rename("public", "swap");
        (void)remove(i % 2 ? "hard2" : "soft");
    }
    return NULL;
}

static void test_race(void)
{
    pi_file *model, *f;
    pthread_t thread;
    int opened = 0;
    CHECK(pi_file_open("model.onnx", &model, NULL) == PI_E_OK);
    __atomic_store_n(&stop, 0, __ATOMIC_RELAXED);
    CHECK(pthread_create(&thread, NULL, swapper, NULL) == 0);
    for (int i = 0; i < 4000; i++) {
        char text[8] = "";
        pi_status st = i % 2 ? pi_file_open_external(model, "swap", 4, &f, NULL) : pi_file_test_by_steps(model, "swap", 4, &f, NULL);
        if (st != PI_E_OK) continue;
        if (pi_file_read(f, 0, text, 6, NULL) == PI_E_OK) {
            CHECK(strcmp(text, "public") == 0);
            opened++;
        }
        pi_file_unref(f);
    }
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
    (void)pthread_join(thread, NULL);
    CHECK(remove("swap") == 0);
    printf("opened %d of 4000 times while it was swapped\n", opened);
    pi_file_unref(model);
}

/* ---- the model itself ---- */

static void test_open(void)
{
    static const char *const bad[] = {"", "missing.onnx", ".", "sub", "sub/", "pipe", "socket", "/dev/zero", "/dev/null", "loop",
                                      "dangling", "model.onnx/", "zero"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        pi_file *f = (pi_file *)&f;
        pi_error err = {0};
        int before = open_files();
        CHECK(pi_file_open(bad[i], &f, &err) == PI_E_FILE && !f && err.code == PI_E_FILE && err.text[0]);
        CHECK(open_files() == before);
    }
    /* the model itself may be a link; its data lie beside the link */
    CHECK(mkdir("../m2", 0700) == 0 && symlink("../m/model.onnx", "../m2/outside") == 0);
    pi_file *f, *data;
    pi_error err = {0};
    CHECK(pi_file_open("../m2/outside", &f, NULL) == PI_E_OK && pi_file_size(f) == 9);
    CHECK(pi_file_open_external(f, "data.bin", 8, &data, &err) == PI_E_FILE && strstr(err.text, "data.bin"));
    pi_file_unref(f);
    /* a folder that is renamed stays the folder */
    CHECK(pi_file_open("sub/deep/data.bin", &f, NULL) == PI_E_OK && rename("sub/deep", "sub/moved") == 0);
    CHECK(pi_file_open_external(f, "data.bin", 8, &data, NULL) == PI_E_OK);
    CHECK(rename("sub/moved", "sub/deep") == 0);
    pi_file_unref(data);
    /* nothing is inherited by other programs */
    CHECK(inherited() == inherited_before);
    pi_file *again = pi_file_ref(f);
    pi_file_unref(f);
    CHECK(pi_file_size(again) == 4);
    pi_file_unref(again);
    pi_file_unref(NULL);
}

static void test_read(void)
{
    pi_file *f;
    pi_error err = {0};
    char text[16] = "";
    CHECK(pi_file_open("data.bin", &f, NULL) == PI_E_OK && pi_file_size(f) == 10);
    CHECK(pi_file_read(f, 3, text, 4, &err) == PI_E_OK && memcmp(text, "3456", 4) == 0);
    CHECK(pi_file_read(f, 10, text, 0, &err) == PI_E_OK && pi_file_read(f, 9, text, 1, &err) == PI_E_OK && text[0] == '9');
    static const struct {
        uint64_t offset;
        size_t n;
    } beyond[] = {{10, 1}, {9, 2}, {11, 0}, {0, 11}, {UINT64_MAX, 1}, {UINT64_MAX - 3, 8}, {1, SIZE_MAX}, {INT64_MAX, 1}, {1ull << 63, 0}};
    for (size_t i = 0; i < sizeof beyond / sizeof *beyond; i++)
        CHECK(pi_file_read(f, beyond[i].offset, text, beyond[i].n, &err) == PI_E_FILE && strstr(err.text, "the file has 10"));
    put("next", "abcdefghij"); /* replaced: the open file is still the old one */
    CHECK(rename("next", "data.bin") == 0 && pi_file_read(f, 0, text, 10, &err) == PI_E_OK && text[0] == '0');
    pi_file_unref(f);

    CHECK(pi_file_open("data.bin", &f, NULL) == PI_E_OK && truncate("data.bin", 5) == 0);
    CHECK(pi_file_read(f, 0, text, 10, &err) == PI_E_FILE && pi_file_read(f, 0, text, 2, &err) == PI_E_FILE);
    CHECK(strstr(err.text, "changed"));
    pi_file_unref(f);
    CHECK(pi_file_open("data.bin", &f, NULL) == PI_E_OK && truncate("data.bin", 50) == 0);
    CHECK(pi_file_read(f, 0, text, 5, &err) == PI_E_FILE);
    pi_file_unref(f);
    put("data.bin", "0123456789");
    CHECK(pi_file_open("data.bin", &f, NULL) == PI_E_OK);
    int fd = open("data.bin", O_WRONLY | O_CLOEXEC);
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 1000}};
    CHECK(fd >= 0 && write(fd, "X", 1) == 1 && futimens(fd, times) == 0); /* the clock of files is coarse */
    (void)close(fd);
    CHECK(pi_file_read(f, 0, text, 10, &err) == PI_E_FILE && strstr(err.text, "load it again"));
    pi_file_unref(f);
    put("data.bin", "0123456789");
}

static void count(void *owner) { ++*(int *)owner; }

static void test_memory(void)
{
    static const char bytes[] = "in memory";
    pi_file *f, *data;
    pi_error err = {0};
    char text[16] = "";
    int released = 0;
    CHECK(pi_file_memory(bytes, 9, count, &released, NULL, &f, &err) == PI_E_OK && pi_file_bytes(f) == bytes);
    CHECK(pi_file_read(f, 3, text, 6, &err) == PI_E_OK && strcmp(text, "memory") == 0 && pi_file_size(f) == 9);
    CHECK(pi_file_read(f, 9, text, 0, &err) == PI_E_OK && pi_file_read(f, 9, text, 1, &err) == PI_E_FILE);
    CHECK(pi_file_open_external(f, "data.bin", 8, &data, &err) == PI_E_FILE && !data && strstr(err.text, "load it by its path"));
    CHECK(pi_file_open_external(f, "../x", 4, &data, &err) == PI_E_MODEL);
    pi_file_unref(pi_file_ref(f));
    CHECK(released == 0);
    pi_file_unref(f);
    CHECK(released == 1);
    CHECK(pi_file_memory(bytes, 9, NULL, NULL, "sub", &f, &err) == PI_E_OK);
    CHECK(pi_file_open_external(f, "deep/data.bin", 13, &data, &err) == PI_E_OK && pi_file_size(data) == 4);
    pi_file_unref(data);
    CHECK(pi_file_open_external(f, "missing", 7, &data, &err) == PI_E_FILE && !data);
    pi_file_unref(f);
    CHECK(pi_file_memory(bytes, 9, count, &released, "no folder", &f, &err) == PI_E_FILE && !f && released == 2);
    CHECK(pi_file_memory(bytes, 9, count, &released, "model.onnx", &f, &err) == PI_E_FILE && released == 3);
    CHECK(pi_file_memory(NULL, 0, count, &released, "", &f, &err) == PI_E_FILE && released == 4);
    CHECK(pi_file_memory(NULL, 0, NULL, NULL, NULL, &f, &err) == PI_E_OK && pi_file_bytes(f) && pi_file_size(f) == 0);
    pi_file_unref(f);
    pi_alloc_fail_at(1);
    CHECK(pi_file_memory(bytes, 9, count, &released, NULL, &f, &err) == PI_E_NOMEM && released == 5);
    CHECK(pi_file_open("model.onnx", &f, &err) == PI_E_NOMEM && !f);
    pi_alloc_fail_at(0);
}

static void test_text(void)
{
    char text[64];
    CHECK(pi_file_text("model.onnx", text, sizeof text) == 9 && strcmp(text, "the model") == 0);
    CHECK(pi_file_text("model.onnx", text, 4) == 3 && strcmp(text, "the") == 0);
    CHECK(pi_file_text("model.onnx", text, 1) == 0 && text[0] == '\0');
    CHECK(pi_file_text("model.onnx", NULL, 0) == 0);
    CHECK(pi_file_text("missing", text, sizeof text) == 0 && text[0] == '\0');
    CHECK(pi_file_text("sub", text, sizeof text) == 0 && pi_file_text("/proc/self/status", text, sizeof text) == 63);
}

int main(void)
{
    (void)alarm(110); /* a pipe that blocks is a failure */
    int before = open_files();
    inherited_before = inherited();
    make_tree();
    test_locations();
    test_race();
    test_open();
    test_read();
    test_memory();
    test_text();
    remove_tree();
    CHECK(open_files() == before && pi_alloc_alive() == 0);
    return CHECK_DONE();
}
