/* Replays a corpus folder through a fuzz target, for builds without libFuzzer; also feeds every prefix and a few
 * thousand deterministic one-byte changes of each file. */
#include "base/buf.h"
#include "base/fs.h"
#include "base/mem.h"

#include <dirent.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void feed(const char *data, size_t len)
{
    /* A heap copy of the exact size lets AddressSanitizer see one byte too far. */
    autofree uint8_t *copy = mem_alloc(len);
    if (len)
        memcpy(copy, data, len);
    LLVMFuzzerTestOneInput(copy, len);
}

static void feed_variants(char *data, size_t len)
{
    uint32_t seed = 2463534242u;
    feed(data, len);
    for (size_t n = 0; n < len; n += 1 + len / 512)
        feed(data, n);
    for (int i = 0; i < 500 && len; i++) {
        seed ^= seed << 13, seed ^= seed >> 17, seed ^= seed << 5;
        char *at = data + seed % len, old = *at;
        *at = (char)(seed >> 24);
        feed(data, len);
        *at = old;
    }
}

int main(int argc, char **argv)
{
    DIR *d = argc == 2 ? opendir(argv[1]) : NULL;
    int files = 0;
    if (!d) {
        fprintf(stderr, "usage: %s CORPUS_FOLDER\n", argv[0]);
        return 2;
    }
    for (struct dirent *e; (e = readdir(d));) {
        if (e->d_name[0] == '.')
            continue;
        autofree char *path = mem_printf("%s/%s", argv[1], e->d_name);
        autofree char *data = NULL;
        size_t len;
        if (fs_read(path, MIB(4), &data, &len, NULL) < 0)
            return 1;
        feed_variants(data, len);
        files++;
    }
    closedir(d);
    printf("%d corpus files\n", files);
    return files ? 0 : 1;
}
